package main

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// newCanaries starts a server with tracing on and puts on file what lawful requests need.
func newCanaries(t *testing.T) *canaries {
	t.Helper()
	_, home := laid(t)
	c := &canaries{office: &office{t: t}, home: home, traces: collect(t), byReason: map[string]int{}, answered: map[string]int{}}
	c.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.traces.address, "OTEL_BSP_SCHEDULE_DELAY=100"}
	c.process = startProcess(t, home, c.env...)
	c.crew = crewOf(t, home, c.process.serving.Address)
	ctx := t.Context()
	_, err := heyanv1.NewComplianceServiceClient(c.crew.system).PublishPolicy(ctx, policyOf(canaryPolicy))
	c.must(err)
	_, err = heyanv1.NewAccessServiceClient(c.crew.security).CreateLegalBasis(ctx, basisOf(canaryBasis, heyanv1.LegalBasis_KIND_CONTRACT))
	c.must(err)
	c.bindLeaver()
	for _, id := range []string{"bank-a", "bank-b", "bank-c", "shop", "sim"} {
		customer := c.furnish(id)
		switch id {
		case "shop":
			c.shop = customer
		case "sim":
			c.pending = customer
			customer.person.Name = proto.String("测试未知")
		default:
			c.customers = append(c.customers, customer)
		}
	}
	c.load()
	return c
}

// bindLeaver binds an operator who is to leave, by two persons.
func (c *canaries) bindLeaver() {
	c.t.Helper()
	ctx := context.Background()
	access := heyanv1.NewAccessServiceClient(c.crew.security)
	r := templates["AccessService/SetOperator"][0].build(c.office, nil)[0].(*heyanv1.SetOperatorRequest)
	r.Operator.Id = canaryOperator
	_, err := access.SetOperator(ctx, r)
	reason, approval := reasonAndFact(err, "approval")
	if reason != "APPROVAL_REQUIRED" {
		c.t.Fatalf("an operator bound by one person: %v", err)
	}
	c.must(approve(ctx, c.crew.system, approval))
	r.Approval = approval
	_, err = access.SetOperator(ctx, r)
	c.must(err)
}

// furnish makes a client with every product, a key, a notice and people of its own.
func (c *canaries) furnish(id string) *customer {
	c.t.Helper()
	t := tenant{id: id, detail: true, priceFen: 35, bases: []string{canaryBasis}, test: id == "sim"}
	key, err := t.furnish(c.t.Context(), c.crew)
	c.must(err)
	customer := &customer{id: id, key: key, conn: dialPlain(c.t, c.home, c.process.serving.Address, key)}
	_, err = heyanv1.NewConsentServiceClient(customer.conn).CreateNotice(c.t.Context(), fullNotice(canaryNotice, false))
	c.must(err)
	customer.person = &heyanv1.Fields{Name: proto.String(c.mint("name", "person of "+id)), IdNumber: proto.String(c.mint("id", "person of "+id))}
	young := c.mark(withCheck(fmt.Sprintf("1101052020010%s001", string(rune('1'+c.n.Add(1)%9)))), "child of "+id)
	customer.child = &heyanv1.Fields{Name: proto.String(c.mint("name", "child of "+id)), IdNumber: &young}
	return customer
}

// load imports marked people over RPC and has them activated.
func (c *canaries) load() {
	c.t.Helper()
	ctx := c.t.Context()
	var rows []*heyanv1.ImportRows_Row
	for range 40 {
		p := c.person("import row")
		c.people = append(c.people, p)
		rows = append(rows, &heyanv1.ImportRows_Row{Fields: p, PlateKind: "02"})
	}
	// One number as an identity card and as a licence: T-DIG-3.
	both := c.person("one number in two fields")
	both.DriverLicenseNumber = both.IdNumber
	c.people = append(c.people, both)
	c.sameText = both
	rows = append(rows, &heyanv1.ImportRows_Row{Fields: both})
	// Rows that are refused: a wrong check digit, a row without an anchor.
	wrong := c.person("refused import row")
	wrong.IdNumber = proto.String(c.mark(spoil(wrong.GetIdNumber()), "refused import row"))
	rows = append(rows, &heyanv1.ImportRows_Row{Fields: wrong},
		&heyanv1.ImportRows_Row{Fields: &heyanv1.Fields{Name: proto.String(c.mint("name", "import row without an anchor"))}})
	for _, customer := range append(slices.Clone(c.customers), c.shop) {
		rows = append(rows, &heyanv1.ImportRows_Row{Fields: customer.person}, &heyanv1.ImportRows_Row{Fields: customer.child})
	}
	m := methodOf("AdminService/ImportRecords")
	replies, _, err := m.call(ctx, c.crew.system, importOf(canaryDataset, rows...))
	c.must(err)
	imported := replies[0].(*heyanv1.ImportRecordsResponse)
	if imported.GetRejectedRows() < 2 || imported.GetAcceptedRows() < 40 {
		c.t.Fatalf("%d rows accepted, %d rejected", imported.GetAcceptedRows(), imported.GetRejectedRows())
	}
	c.keepReply(m.name, replies, nil, nil)
	_, err = heyanv1.NewAccessServiceClient(c.crew.security).ActivateDataset(ctx, &heyanv1.ActivateDatasetRequest{
		Dataset: canaryDataset, Generation: imported.GetGeneration()})
	c.must(err)
}

func methodOf(name string) method {
	all := methodsOfAPI()
	return all[slices.IndexFunc(all, func(m method) bool { return m.name == name })]
}
