package main

import (
	"bytes"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/heyan-project/heyan/deploy/bench/internal/job"
)

func consumeLength(b []byte) (uint64, int) { return protowire.ConsumeVarint(b) }

// placeholders finds where the ids of a request stand, in ascending order.
func placeholders(request []byte) []int {
	var at []int
	for _, placeholder := range []string{job.RequestID, job.EvidenceRef} {
		if i := bytes.Index(request, []byte(placeholder)); i >= 0 {
			at = append(at, i+len(placeholder)-job.IDLength)
		}
	}
	slices.Sort(at)
	return at
}
