package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// quietSeries are families of ours that a short, good day leaves at zero, and why.
var quietSeries = map[string]string{
	"heyan_log_queue":                       "nothing waits when nobody asks",
	"heyan_log_disk_full":                   "there is room",
	"heyan_log_reserved_bytes":              "development takes no room ahead",
	"heyan_log_disk_low":                    "there is room",
	"heyan_ledger_claims_open":              "nothing is claimed when nobody asks",
	"heyan_tls_handshake_failures_total":    "everybody speaks TLS here",
	"heyan_refusal_budgets_exhausted_total": "nobody is refused that often",
	"heyan_sources_shared":                  "too few log in to tell",
	"heyan_log_purged_records_total":        "no record is six months old",
	"heyan_log_purged_bytes_total":          "no record is six months old",
	"heyan_log_purge_failures_total":        "nothing is purged",
	"heyan_log_purge_due_timestamp_seconds": "nothing is sealed",
}

// TestMetricsAreFed: every series of the server as it ships is fed by what feeds it, not only registered.
func TestMetricsAreFed(t *testing.T) {
	a, home := laid(t)
	p := startProcess(t, home)
	crew := crewOf(t, home, p.serving.Address)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tenant := tenant{id: "counted-bank", products: []string{"id2"}}
	key, err := tenant.furnish(ctx, crew)
	must(t, err)
	must(t, devProfiles(home, p.serving.Address))
	must(t, (&developmentServer{people: 50}).load(ctx, a, home, crew))
	conn := dialPlain(t, home, p.serving.Address, key)
	_, err = heyanv1.NewConsentServiceClient(conn).CreateNotice(ctx, fullNotice(devNotice, false))
	must(t, err)
	client := heyanv1.NewVerificationServiceClient(conn)
	request := &heyanv1.VerifyRequest{
		Product: "id2", RequestId: "once", Fields: &heyanv1.Fields{Name: new("测试一致"), IdNumber: new("11010519491231002X")},
		Ground: &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
			Notice: devNotice, ObtainTime: timestamppb.Now(), EvidenceRef: "agr-1"}}}
	for range 2 { // the second is a replay
		_, err = client.Verify(ctx, request)
		must(t, err)
	}
	request.RequestId, request.Product = "another", "phone2"
	if _, err := client.Verify(ctx, request); err == nil {
		t.Fatal("a product that was not bought answered")
	}
	stream, err := heyanv1.NewLogServiceClient(crew.audit).ListLogEntries(ctx, &heyanv1.ListLogEntriesRequest{Limit: 5})
	must(t, err)
	for err == nil {
		_, err = stream.Recv()
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	if _, err := heyanv1.NewCatalogServiceClient(dialPlain(t, home, p.serving.Address, "")).ListPolicies(ctx, &heyanv1.ListPoliciesRequest{}); err != nil {
		t.Fatal(err)
	}
	families := scrapeSums(t, "http://"+p.serving.Status+"/metrics")
	ours := 0
	for name, sum := range families {
		if !strings.HasPrefix(name, "heyan_") && !strings.HasPrefix(name, "grpc_server_") {
			continue
		}
		ours++
		if _, quiet := quietSeries[name]; quiet != (sum == 0) {
			t.Errorf("%s sums up to %v", name, sum)
		}
	}
	if ours < 15 {
		t.Errorf("%d families of ours", ours)
	}
	if n := families["heyan_verifications_total"]; n != 1 {
		t.Errorf("%v verifications counted, want the one that was new", n)
	}
}

// scrapeSums returns the sum over the series of each family; of a histogram, how much was observed.
func scrapeSums(t *testing.T, url string) map[string]float64 {
	t.Helper()
	answer, err := http.Get(url)
	must(t, err)
	defer answer.Body.Close()
	sums := map[string]float64{}
	histograms := map[string]bool{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 4 && words[1] == "TYPE" {
			sums[words[2]] += 0
			histograms[words[2]] = words[3] == "histogram" || words[3] == "summary"
		}
		if len(words) == 0 || words[0] == "#" {
			continue
		}
		name, _, _ := strings.Cut(words[0], "{")
		value, err := strconv.ParseFloat(words[len(words)-1], 64)
		must(t, err)
		if family, ok := strings.CutSuffix(name, "_count"); ok && histograms[family] {
			sums[family] += value
		} else if _, ok := sums[name]; ok && !histograms[name] {
			sums[name] += value
		}
	}
	must(t, lines.Err())
	return sums
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
