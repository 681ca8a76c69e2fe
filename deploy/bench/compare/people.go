package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// person is one who can be asked about: the first row of a person who is fourteen or older.
type person struct{ name, id string }

// grown is whether the person is fourteen: younger ones need a guardian's consent.
func (p person) grown(now time.Time) bool {
	birth, err := time.Parse("20060102", p.id[6:14])
	return err == nil && !birth.AddDate(14, 0, 1).After(now)
}

// census is the file of invented people, ready to be imported and asked about.
type census struct {
	rows     int
	messages [][]byte // encoded ImportRecordsRequests, without the header
	people   []person // evenly from the whole file
}

const (
	chunkRows  = 1000
	chunkBytes = 56 << 10
)

// readCensus reads a CSV of heyan dataset sample. It keeps every every-th person.
func readCensus(path string, every int, now time.Time) (*census, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	in := csv.NewReader(file)
	header, err := in.Read()
	if err != nil {
		return nil, err
	}
	c := &census{}
	var chunk []*heyanv1.ImportRows_Row
	size, seen := 0, 0
	flush := func() error {
		if len(chunk) == 0 {
			return nil
		}
		message, err := proto.Marshal(&heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Rows{
			Rows: &heyanv1.ImportRows{FirstRow: uint64(c.rows - len(chunk) + 1), Rows: chunk}}})
		c.messages = append(c.messages, message)
		chunk, size = chunk[:0], 0
		return err
	}
	last := ""
	for {
		cells, err := in.Read()
		if errors.Is(err, io.EOF) {
			return c, flush()
		}
		if err != nil {
			return nil, err
		}
		row := rowOf(header, cells)
		c.rows++
		chunk = append(chunk, row)
		if size += proto.Size(row) + 8; len(chunk) == chunkRows || size > chunkBytes {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		p := person{row.GetFields().GetName(), row.GetFields().GetIdNumber()}
		if p.id == last || len(p.id) != 18 || !p.grown(now) {
			continue
		}
		last = p.id
		if seen++; seen%every == 0 {
			c.people = append(c.people, p)
		}
	}
}

func rowOf(header, cells []string) *heyanv1.ImportRows_Row {
	row := &heyanv1.ImportRows_Row{Fields: &heyanv1.Fields{}}
	for i, name := range header {
		if cells[i] == "" {
			continue
		}
		if name == "plate_kind" {
			row.PlateKind = cells[i]
			continue
		}
		if member := row.Fields.ProtoReflect().Descriptor().Fields().ByTextName(name); member != nil {
			row.Fields.ProtoReflect().Set(member, protoreflect.ValueOfString(cells[i]))
		}
	}
	return row
}

// encoded sends messages that are encoded already.
type encoded struct{}

// Name implements encoding.CodecV2.
func (encoded) Name() string { return "proto" }

// Marshal implements encoding.CodecV2.
func (encoded) Marshal(v any) (mem.BufferSlice, error) {
	if b, ok := v.([]byte); ok {
		return mem.BufferSlice{mem.SliceBuffer(b)}, nil
	}
	b, err := proto.Marshal(v.(proto.Message))
	return mem.BufferSlice{mem.SliceBuffer(b)}, err
}

// Unmarshal implements encoding.CodecV2.
func (encoded) Unmarshal(data mem.BufferSlice, v any) error {
	return proto.Unmarshal(data.Materialize(), v.(proto.Message))
}

// imported is what became of the import.
type imported struct {
	rows, anchors, bytes int64
	took                 time.Duration
}

// load imports the people as the one administrator and activates them as the other.
func (h *heyan) load(ctx context.Context, c *census) (*imported, error) {
	conn, err := h.dial(system, grpc.WithDefaultCallOptions(grpc.ForceCodecV2(encoded{})))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	began := time.Now()
	stream, err := conn.NewStream(ctx, &heyanv1.AdminService_ServiceDesc.Streams[importStream()], heyanv1.AdminService_ImportRecords_FullMethodName)
	if err != nil {
		return nil, err
	}
	header := &heyanv1.ImportRecordsRequest{Part: &heyanv1.ImportRecordsRequest_Header{Header: &heyanv1.ImportHeader{
		Dataset: dataset, AsOf: timestamppb.New(began.Add(-time.Minute)), Description: "invented people"}}}
	err = stream.SendMsg(header)
	for i := 0; err == nil && i < len(c.messages); i++ {
		err = stream.SendMsg(c.messages[i])
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	var answer heyanv1.ImportRecordsResponse
	if err := errors.Join(stream.CloseSend(), stream.RecvMsg(&answer)); err != nil {
		return nil, err
	}
	took := time.Since(began)
	if answer.GetAcceptedRows() != int64(c.rows) {
		return nil, fmt.Errorf("%d of %d rows were taken", answer.GetAcceptedRows(), c.rows)
	}
	approver, err := h.dial(security)
	if err != nil {
		return nil, err
	}
	defer approver.Close()
	_, err = heyanv1.NewAccessServiceClient(approver).ActivateDataset(ctx,
		&heyanv1.ActivateDatasetRequest{Dataset: dataset, Generation: answer.GetGeneration()})
	return &imported{answer.GetAcceptedRows(), answer.GetAnchors(), answer.GetBytes(), took}, err
}

// importStream is the place of ImportRecords among the streams of its service.
func importStream() int {
	for i, s := range heyanv1.AdminService_ServiceDesc.Streams {
		if s.StreamName == "ImportRecords" {
			return i
		}
	}
	panic("no ImportRecords")
}

// request is what is asked about a person, with placeholders for the ids.
func request(p person) *heyanv1.VerifyRequest {
	return &heyanv1.VerifyRequest{
		Product: productID, Purpose: purpose, Fields: &heyanv1.Fields{Name: &p.name, IdNumber: &p.id}, RequestId: job.RequestID,
	}
}

// writeRequests writes a request for each person. consents, where given, are stored ones of theirs; without, each call
// brings a consent of its own.
func writeRequests(path string, people []person, consents []string, now time.Time) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	for i, p := range people {
		r := request(p)
		if consents != nil {
			r.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: consents[i]}
		} else {
			r.Ground = &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
				Notice: notice, ObtainTime: timestamppb.New(now.Add(-time.Minute)), EvidenceRef: job.EvidenceRef}}
		}
		if _, err := protodelim.MarshalTo(file, r); err != nil {
			return err
		}
	}
	return nil
}

// store puts a consent of each person on file and returns their ids.
func (h *heyan) store(ctx context.Context, people []person, now time.Time) ([]string, error) {
	conn, err := h.dial(client)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	service := heyanv1.NewConsentServiceClient(conn)
	ids := make([]string, len(people))
	errs := make([]error, 64)
	var next atomic.Int64
	var group sync.WaitGroup
	for w := range errs {
		group.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(people)) && errs[w] == nil; i = next.Add(1) - 1 {
				var stored *heyanv1.Consent
				p := people[i]
				stored, errs[w] = service.CreateConsent(ctx, &heyanv1.CreateConsentRequest{
					Notice: notice, ObtainTime: timestamppb.New(now.Add(-time.Minute)), EvidenceRef: fmt.Sprintf("stored-%d", i),
					Subject: &heyanv1.Fields{Name: &p.name, IdNumber: &p.id}})
				ids[i] = stored.GetId()
			}
		})
	}
	group.Wait()
	return ids, errors.Join(errs...)
}

// sampleResponse asks once and keeps the answer, so that the baselines answer with as many bytes.
func (h *heyan) sampleResponse(ctx context.Context, path string, p person) error {
	conn, err := h.dial(client)
	if err != nil {
		return err
	}
	defer conn.Close()
	r := request(p)
	r.Ground = &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
		Notice: notice, ObtainTime: timestamppb.New(time.Now().Add(-time.Minute)), EvidenceRef: "first"}}
	answer, err := heyanv1.NewVerificationServiceClient(conn).Verify(ctx, r)
	if err != nil {
		return err
	}
	if verdict := answer.GetVerification().GetVerdict(); verdict != heyanv1.Verdict_VERDICT_MATCH {
		return fmt.Errorf("a person of the dataset answers %s", verdict)
	}
	text, err := proto.Marshal(answer)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o600)
}
