package config

import (
	"errors"

	"github.com/heyan-project/heyan/store/netlog/retention"
	"github.com/heyan-project/heyan/verifier/fault"
)

// Retention is how long the network log is kept: a record of a local date to the same day so many calendar months later,
// and the grace.
type Retention struct {
	Period    string `yaml:"period"`     // ISO 8601 years and months, such as P6M
	GraceDays int    `yaml:"grace_days"` // days
}

// Policy reads log.retention.
func (r *Retention) Policy() (retention.Policy, error) {
	months, err := retention.ParsePeriod(r.Period)
	p := retention.Policy{Months: months, Grace: r.GraceDays}
	if err != nil {
		return p, err
	}
	return p, p.Check()
}

// RetentionMember is what begins each line about log.retention.
const RetentionMember = "log.retention"

func (c *Config) checkRetention(require func(bool, string, ...any)) {
	_, err := c.Log.Retention.Policy()
	switch {
	case errors.Is(err, retention.ErrTooLong):
		require(false, RetentionMember+": at most ten years: addresses are personal data, kept no longer than needed")
	case err != nil:
		require(false, RetentionMember+": %s: at least period: P6M and grace_days: 0, in calendar months: a fixed number of days is shorter than six months for some dates", fault.RetentionBelowFloor)
	}
}
