package api

import (
	"context"
	"slices"
	"strings"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/server/authn"
	"github.com/heyan-project/heyan/server/journal"
	"github.com/heyan-project/heyan/store/directory"
	"github.com/heyan-project/heyan/verifier"
	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/product"
	"github.com/heyan-project/heyan/verifier/usage"
	"github.com/heyan-project/heyan/verifier/workday"
)

// GetAccount tells the caller who it is and, to a client, what it may do.
func (s *Catalog) GetAccount(ctx context.Context, _ *heyanv1.GetAccountRequest) (*heyanv1.Account, error) {
	p := caller(ctx)
	if p.Kind != authn.Client {
		return &heyanv1.Account{Operator: p.ID, PersonId: p.Person, Roles: publicRoles(p.Roles)}, nil
	}
	snapshot := s.d.Directory.Now()
	account := &heyanv1.Account{
		Client: p.ID, DisplayName: p.Client.DisplayName, Credential: p.Credential, Test: p.Test,
		CredentialExpireTime: stamp(p.Expire), Roles: publicRoles(p.Roles),
	}
	for _, id := range directory.Under(snapshot.Notices, p.ID) {
		account.Notices = append(account.Notices, strings.TrimPrefix(id, p.ID+"/"))
	}
	slices.Sort(account.Notices)
	if policy := snapshot.PolicyInForce(s.d.Now()); policy != nil {
		account.PolicyVersion = policy.ID
		_, account.PolicyAcknowledged = snapshot.Acks[directory.AckID(p.ID, policy.ID)]
	}
	bought := directory.Under(snapshot.Entitlements, p.ID)
	slices.Sort(bought)
	for _, id := range bought {
		e := &snapshot.Entitlements[id].Value
		if e.Revoked {
			continue
		}
		line, err := s.line(ctx, e, p.Test)
		if err != nil {
			return nil, err
		}
		account.Lines = append(account.Lines, line)
	}
	return account, nil
}

// line is one bought product. The quota is that of the credential's kind.
func (s *Catalog) line(ctx context.Context, e *product.Entitlement, test bool) (*heyanv1.Account_Line, error) {
	line := &heyanv1.Account_Line{
		Product: string(e.Product), Purposes: publicPurposes(e.Purposes), LegalBases: e.LegalBases,
		ExpireTime: stamp(e.Expire), Detail: e.Detail,
	}
	quota := e.QuotaFor(test)
	line.QuotaPeriod = quotaPeriodEnum.public(quota.Period)
	if quota.Limit < 0 {
		return line, nil
	}
	used, reserved, err := s.d.Store.Counter(ctx, verifier.QuotaKey(e.Client, e.Product, test, quota, s.d.Now()))
	if err != nil {
		return nil, storeFault(err)
	}
	left := max(quota.Limit-used-reserved, 0) // a lowered limit may be behind what was used
	line.Quota, line.QuotaLeft = &quota.Limit, &left
	return line, nil
}

// maxUsageDays is the longest range of one GetUsage.
const maxUsageDays = 400

// GetUsage counts by day, product and kind of credential: to a client its own, to an operator one client's or all.
func (s *Catalog) GetUsage(ctx context.Context, m *heyanv1.GetUsageRequest) (*heyanv1.GetUsageResponse, error) {
	client, refused := s.usageOf(ctx, m.GetClient())
	if refused != nil {
		return nil, refused
	}
	from, to, refused := usageDays(m, workday.DateOf(s.d.Now()))
	if refused != nil {
		return nil, refused
	}
	rows, err := s.d.Store.Usage(ctx, client, from, to)
	if err != nil {
		return nil, storeFault(err)
	}
	response := &heyanv1.GetUsageResponse{Rows: make([]*heyanv1.UsageRow, len(rows))}
	for i := range rows {
		response.Rows[i] = publicUsage(&rows[i])
	}
	return response, nil
}

// usageOf returns whose usage is asked for; empty is everybody's.
func (s *Catalog) usageOf(ctx context.Context, named string) (client string, refused *fault.Fault) {
	p := caller(ctx)
	if p.Kind == authn.Client {
		if named != "" && named != p.ID {
			return "", notFound()
		}
		return p.ID, nil
	}
	if named == "" {
		return "", nil
	}
	if _, ok := s.d.Directory.Now().Clients[named]; !ok {
		return "", notFound().WithField("client", "NOT_ON_FILE")
	}
	journal.From(ctx).SetObject("client", named)
	return named, nil
}

// usageDays reads the first and the last day.
func usageDays(m *heyanv1.GetUsageRequest, today workday.Date) (from, to workday.Date, refused *fault.Fault) {
	from, to = today.AddDays(1-today.Day()), today
	for _, day := range []struct {
		name, text string
		date       *workday.Date
	}{{"start_date", m.GetStartDate(), &from}, {"end_date", m.GetEndDate(), &to}} {
		if day.text == "" {
			continue
		}
		parsed, err := workday.ParseDate(day.text)
		if err != nil {
			return from, to, fault.New(fault.RequestMalformed).WithField(day.name, "YYYY-MM-DD")
		}
		*day.date = parsed
	}
	switch {
	case to.Before(from):
		return from, to, fault.New(fault.RequestMalformed).WithField("end_date", "BEFORE_START_DATE")
	case to.After(from.AddDays(maxUsageDays - 1)):
		return from, to, fault.New(fault.RequestMalformed).WithField("end_date", "MORE_THAN_400_DAYS")
	}
	return from, to, nil
}

func publicUsage(r *usage.Row) *heyanv1.UsageRow {
	return &heyanv1.UsageRow{
		Date: r.Day.String(), Client: r.Client, Product: string(r.Product), Test: r.Test, Pending: r.Verdicts[0],
		Match: r.Verdicts[product.Match], Mismatch: r.Verdicts[product.Mismatch], NoRecord: r.Verdicts[product.NoRecord],
		NotVerifiable: r.Verdicts[product.NotVerifiable], InstrumentBlocked: r.Verdicts[product.InstrumentBlocked],
		Billed: r.Billed, AmountFen: r.AmountFen, Replayed: r.Replayed,
	}
}
