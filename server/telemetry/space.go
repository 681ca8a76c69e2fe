package telemetry

import "github.com/prometheus/client_golang/prometheus"

// Space is the room in the file system of the network log.
type Space struct {
	Free, Total uint64 // bytes
	Low, Full   bool   // at the high mark, below the floor
	// UntilFloor is when Free will be at the floor at the rate at which it shrinks now, in seconds; +Inf where it does
	// not.
	UntilFloor float64
	Reserved   int64 // bytes that the log has taken ahead
}

func (r *registrar) space(read func() Space) {
	gauge := func(name, help string, of func(Space) float64) {
		r.counterOrGauge(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return of(read()) }))
	}
	flag := func(set bool) float64 {
		if set {
			return 1
		}
		return 0
	}
	gauge("heyan_log_disk_free_bytes", "Room left in the file system of the network log, as others than root have it.", func(s Space) float64 { return float64(s.Free) })
	gauge("heyan_log_disk_bytes", "Size of the file system of the network log.", func(s Space) float64 { return float64(s.Total) })
	gauge("heyan_log_disk_low", "Whether there is less room than log.space.high asks for: 1, or 0.", func(s Space) float64 { return flag(s.Low) })
	gauge("heyan_log_disk_full", "Whether there is less room than log.space.floor asks for, so that calls are refused: 1, or 0.", func(s Space) float64 { return flag(s.Full) })
	gauge("heyan_log_reserved_bytes", "Room that the network log has taken ahead for its next records; 0 where the system cannot.", func(s Space) float64 { return float64(s.Reserved) })
	gauge("heyan_log_seconds_to_floor", "Time until the room is at log.space.floor, at the rate at which it shrinks now; +Inf where it does not.", func(s Space) float64 { return s.UntilFloor })
}
