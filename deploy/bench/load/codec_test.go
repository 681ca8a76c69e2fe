package main

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

const testRun = "r000000000000007"

// requests is a file of three requests about three people.
func requests(t *testing.T) []byte {
	t.Helper()
	var file bytes.Buffer
	for _, name := range []string{"甲", "乙乙", "丙丙丙"} {
		r := &heyanv1.VerifyRequest{Product: "id2", RequestId: job.RequestID, Fields: &heyanv1.Fields{Name: &name},
			Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{Notice: "n", EvidenceRef: job.EvidenceRef}}}
		if _, err := protodelim.MarshalTo(&file, r); err != nil {
			t.Fatal(err)
		}
	}
	return file.Bytes()
}

func check(t *testing.T, r *heyanv1.VerifyRequest, name string, n int) {
	t.Helper()
	id := fmt.Sprintf("%s-%010d", testRun, n)
	if r.GetFields().GetName() != name || r.GetRequestId() != "request-id-"+id || r.GetConsent().GetEvidenceRef() != "evidence-"+id {
		t.Errorf("%v, want %s of %s", r, id, name)
	}
}

func TestRequestsHaveTheirOwnIDs(t *testing.T) {
	all, err := templates(requests(t), 0)
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	for i, name := range []string{"甲", "乙乙", "丙丙丙"} {
		var r heyanv1.VerifyRequest
		if err := proto.Unmarshal(all[i].fill(testRun, int64(1234+i), 2).buffer.ReadOnlyData(), &r); err != nil {
			t.Fatal(err)
		}
		check(t, &r, name, 1234+i)
	}
}

func TestBatchesHaveAnIDAnItem(t *testing.T) {
	all, err := templates(requests(t), 3)
	if err != nil || len(all) != 1 {
		t.Fatal(len(all), err)
	}
	var batch heyanv1.BatchVerifyRequest
	if err := proto.Unmarshal(all[0].fill(testRun, 9999999997, 2).buffer.ReadOnlyData(), &batch); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"甲", "乙乙", "丙丙丙"} {
		check(t, batch.GetRequests()[i], name, 9999999997+i)
	}
}

func TestFilesThatAreNone(t *testing.T) {
	for name, file := range map[string][]byte{"empty": nil, "cut": requests(t)[:5], "no length": {0xff}} {
		if _, err := templates(file, 0); !errors.Is(err, errRequests) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
