// Package job is what the programs of the comparison tell each other.
package job

// Credentials are paths of PEM files for mutual TLS.
type Credentials struct {
	CA          string `json:"ca"`
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

// Load is one run of the load generator.
type Load struct {
	Address     string      `json:"address"`
	TLS         Credentials `json:"tls"`
	Requests    string      `json:"requests"`    // file of length-delimited VerifyRequests
	Run         string      `json:"run"`         // 16 characters that make the ids of this run its own
	Callers     int         `json:"callers"`     // at once
	Connections int         `json:"connections"` // that they share
	Rate        float64     `json:"rate"`        // calls a second over all callers; 0 = closed loop
	Batch       int         `json:"batch"`       // items in a BatchVerify; 0 = Verify
	WarmUp      float64     `json:"warm_up"`     // seconds that do not count
	Seconds     float64     `json:"seconds"`
}

// Placeholders in a request of the file: the generator overwrites them with an id of the same length, so that
// nothing is encoded while a server is measured.
const (
	RequestID   = "request-id-0000000000000000-0000000000"
	EvidenceRef = "evidence-0000000000000000-0000000000"
)

// IDLength is the length of what stands behind the word in a placeholder: the run and a number.
const IDLength = 16 + 1 + 10

// Result is what one run saw.
type Result struct {
	Items    int64            `json:"items"` // that count
	Seconds  float64          `json:"seconds"`
	AllItems int64            `json:"all_items"` // with those of the warm-up
	P50      float64          `json:"p50_ms"`    // of a call, a whole batch where there are batches
	P99      float64          `json:"p99_ms"`
	Verdicts map[string]int64 `json:"verdicts"` // of a sample of the answers
	Failures map[string]int64 `json:"failures"`
}

// PerSecond is the rate of items.
func (r *Result) PerSecond() float64 { return float64(r.Items) / r.Seconds }
