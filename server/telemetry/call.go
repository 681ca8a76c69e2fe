package telemetry

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// lastCode is the largest gRPC code.
const lastCode = codes.Unauthenticated

// method is the series of one RPC. Their names are those that other gRPC servers export, so that dashboards
// made for those work.
type method struct {
	unary             bool
	started           prometheus.Counter
	received, sent    prometheus.Counter
	handled           [lastCode + 1]prometheus.Counter
	handlingHistogram prometheus.Observer
}

func (m *Metrics) bindMethods(r *registrar, methods []Method) {
	labels := []string{"grpc_type", "grpc_service", "grpc_method"}
	started := r.counters("grpc_server_started_total", "RPCs started on the server.", labels...)
	handled := r.counters("grpc_server_handled_total", "RPCs completed on the server, by code.", append(labels, "grpc_code")...)
	received := r.counters("grpc_server_msg_received_total", "Messages received by the server.", labels...)
	sent := r.counters("grpc_server_msg_sent_total", "Messages sent by the server.", labels...)
	handling := r.counterOrGauge(prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "grpc_server_handling_seconds", Help: "Time from the start of an RPC to the end of its handling.", Buckets: callBuckets,
	}, labels)).(*prometheus.HistogramVec)
	bind := func(kind, service, name string) *method {
		b := &method{
			unary:             kind == "unary",
			started:           started.WithLabelValues(kind, service, name),
			received:          received.WithLabelValues(kind, service, name),
			sent:              sent.WithLabelValues(kind, service, name),
			handlingHistogram: handling.WithLabelValues(kind, service, name),
		}
		for code := codes.OK; code <= lastCode; code++ {
			b.handled[code] = handled.WithLabelValues(kind, service, name, code.String())
		}
		return b
	}
	m.unknown = bind("unknown", "unknown", "unknown")
	for _, one := range methods {
		if m.methods[one.full()] != nil {
			r.err = errors.Join(r.err, errors.New("telemetry: a method is named twice"))
		}
		m.methods[one.full()] = bind(one.kind(), one.Service, one.Name)
	}
}

func (m *Metrics) method(full string) *method {
	if one, ok := m.methods[full]; ok {
		return one
	}
	return m.unknown
}

// Started counts a call in, by its full method "/package.Service/Method". A method that is not known, whose
// name is a caller's, counts as "unknown". For a unary method it counts the request as a received message.
func (m *Metrics) Started(full string) {
	one := m.method(full)
	one.started.Inc()
	if one.unary {
		one.received.Inc()
	}
}

// Handled counts a call out. For a unary method that ends with OK it counts the reply as a sent message.
func (m *Metrics) Handled(full string, code codes.Code, took time.Duration) {
	one := m.method(full)
	if code > lastCode {
		code = codes.Unknown
	}
	one.handled[code].Inc()
	one.handlingHistogram.Observe(took.Seconds())
	if one.unary && code == codes.OK {
		one.sent.Inc()
	}
}

// Received counts one message of a stream in.
func (m *Metrics) Received(full string) { m.method(full).received.Inc() }

// Sent counts one message of a stream out.
func (m *Metrics) Sent(full string) { m.method(full).sent.Inc() }
