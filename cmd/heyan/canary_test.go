package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

// TestCanary sends marked values through everything that takes bytes from outside: every string member of every request
// of every RPC, metadata, user agents, trace headers, credentials, method names, malformed messages, server names,
// certificates, plaintext, the status port, a batch and an import that a kill cuts short. Then it looks for them, and for
// their bare digests, in every form of formsOf, in all that the server wrote or said: data directory as it lies on the
// disk and decrypted, network log, metrics, standard error, traces, replies.
//
// MV-0-minimum, MV-3.1-sha256 (T-DIG-1 to T-DIG-4), ME-3-deidentify-early, SO-2.1-separation, MV-1.1-ceiling.
func TestCanary(t *testing.T) {
	c := newCanaries(t)
	c.products()
	c.lawful()
	c.members()
	c.metadata()
	c.messages()
	c.connections()
	c.listen()
	c.keep("metrics", c.metrics())
	c.keepFiles("running")
	c.cutShort()
	c.keepFiles("killed")
	killed := copyOf(t, c.home)

	c.restart()
	c.replays()
	c.keep("metrics after the restart", c.metrics())
	c.process.stop()
	c.keep("standard error", []byte(c.process.text()))
	c.keepFiles("closed")
	c.keep("traces", c.traces.all())

	c.tally()
	s := newSearch(c.minted)
	t.Logf("%d values, %d forms; %d methods, %d members, %d calls, %d of them accepted; %.1f MB searched",
		len(c.minted), s.count, c.methods, c.walked, c.calls, c.accepted, float64(c.size())/1e6)
	for _, k := range c.kept {
		s.none(t, k.where, k.bytes)
	}
	for _, home := range []string{killed, c.home} {
		stores := openStores(t, home)
		for name, rows := range stores.rows {
			for _, row := range rows {
				s.none(t, "decrypted "+name, row)
			}
		}
		for name, file := range stores.files {
			s.none(t, "decrypted file "+name, file)
		}
		if home == c.home {
			stores.digests(t, c, stores.separate(t))
		}
	}
	if cores := coreFiles(t, c.home); len(cores) > 0 {
		t.Errorf("core files: %v", cores)
	}
}

// canaries is one run: the server, who calls, what was sent and what was kept to be searched.
type canaries struct {
	*office
	home    string
	process *process
	traces  *collector
	env     []string
	shop    *customer // another client, which sends no canaries

	mu       sync.Mutex
	minter   minter
	minted   []*canary
	kept     []kept
	people   []*heyanv1.Fields // on file
	sameText *heyanv1.Fields   // whose licence has the number of the identity card
	replayed []*heyanv1.VerifyRequest

	methods, walked, calls, accepted int
	byReason                         map[string]int // calls by method and reason
	answered                         map[string]int // by product
}

// kept is bytes to be searched.
type kept struct {
	where string
	bytes []byte
}

func (c *canaries) keep(where string, b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept = append(c.kept, kept{where, b})
}

func (c *canaries) size() (n int) {
	for _, k := range c.kept {
		n += len(k.bytes)
	}
	return n
}

// mint makes a fresh marked value.
func (c *canaries) mint(kind, where string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	value := c.minter.next(kind)
	c.minted = append(c.minted, &canary{value, where + " (" + kind + ")"})
	return value
}

// mark makes a text that a value was put into a marked value too, as it would lie somewhere whole.
func (c *canaries) mark(value, where string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.minted = append(c.minted, &canary{value, where})
	return value
}

// kinds are what is minted, in the order of the fields.
var kinds = []string{"name", "id", "phone", "card", "plate", "licence"}

// person mints somebody with a value in every field.
func (c *canaries) person(where string) *heyanv1.Fields {
	f := &heyanv1.Fields{}
	for i, kind := range kinds {
		value := c.mint(kind, where)
		setText(f, i, value)
	}
	return f
}

func setText(f *heyanv1.Fields, i int, value string) {
	m := f.ProtoReflect()
	m.Set(m.Descriptor().Fields().ByNumber(protoreflect.FieldNumber(i+1)), protoreflect.ValueOfString(value))
}

// fieldsOfProduct returns exactly a product's fields.
func fieldsOfProduct(product string, p *heyanv1.Fields) *heyanv1.Fields {
	f := &heyanv1.Fields{Name: p.Name}
	switch strings.TrimRight(product, "234") {
	case "phone":
		f.PhoneNumber = p.PhoneNumber
	case "card":
		f.BankCardNumber = p.BankCardNumber
	case "plate":
		f.LicensePlateNumber = p.LicensePlateNumber
	case "driver":
		f.DriverLicenseNumber = p.DriverLicenseNumber
	}
	if product == "id2" || strings.HasSuffix(product, "3") || product == "card4" {
		f.IdNumber = p.IdNumber
	}
	if product == "card4" {
		f.PhoneNumber = p.PhoneNumber
	}
	return f
}

// conn is the connection of a role.
func (c *canaries) conn(as string, customer *customer) grpc.ClientConnInterface {
	switch as {
	case "system":
		return c.crew.system
	case "security":
		return c.crew.security
	case "audit":
		return c.crew.audit
	}
	return customer.conn
}

// send makes a call, keeps what came back and returns the reason of a refusal, "" for none.
func (c *canaries) send(name string, m method, conn grpc.ClientConnInterface, r request) string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	replies, told, err := m.call(ctx, conn, r)
	reason, _ := reasonAndFact(err, "")
	c.keepReply(name, replies, told, err)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls++
	switch code := status.Code(err); {
	case err == nil:
		c.accepted++
	case reason == "":
		c.t.Errorf("%s: %v", name, code)
	case code == codes.Internal || code == codes.Unavailable:
		c.t.Errorf("%s: %s", name, reason)
	}
	c.byReason[m.name+" "+reason]++
	return reason
}

// keepReply keeps replies, headers and statuses. The one thing that may come back is a client_reference, to who sent it.
func (c *canaries) keepReply(name string, replies []proto.Message, told metadata.MD, err error) {
	var all []byte
	for _, reply := range replies {
		forgetReference(reply.ProtoReflect())
		encoded, marshalErr := proto.Marshal(reply)
		if marshalErr != nil {
			c.t.Error(marshalErr)
		}
		all = append(all, encoded...)
	}
	for key, values := range told {
		all = append(all, key+" "+strings.Join(values, " ")+"\n"...)
	}
	if err != nil {
		encoded, _ := proto.Marshal(status.Convert(err).Proto())
		all = append(append(all, encoded...), err.Error()...)
	}
	c.keep("the reply to "+name, all)
}

// forgetReference clears the echo of client_reference.
func forgetReference(m protoreflect.Message) {
	m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		switch {
		case fd.FullName() == "heyan.v1.Verification.client_reference":
			m.Clear(fd)
		case fd.IsMap():
		case fd.IsList() && fd.Message() != nil:
			for i := range v.List().Len() {
				forgetReference(v.List().Get(i).Message())
			}
		case !fd.IsList() && fd.Message() != nil:
			forgetReference(v.Message())
		}
		return true
	})
}

// products asks every product about people on file, about mixtures of them and about strangers, alone and in batches.
func (c *canaries) products() {
	verify, batch := methodOf("VerificationService/Verify"), methodOf("VerificationService/BatchVerify")
	for i, product := range allProducts {
		known, other, stranger := c.people[2*i], c.people[2*i+1], c.person("stranger in "+product)
		mixed := proto.CloneOf(known)
		mixed.Name = other.Name
		bulk := &heyanv1.BatchVerifyRequest{}
		for _, p := range []*heyanv1.Fields{known, mixed, stranger, c.sameText} {
			customer := c.customers[i%len(c.customers)]
			r := customer.verify(c.office)
			r.Product, r.Fields = product, fieldsOfProduct(product, p)
			if r.Fields.IdNumber == nil && (r.Fields.DriverLicenseNumber == nil || p != c.sameText) {
				r.AgeDeclaration = heyanv1.AgeDeclaration_AGE_DECLARATION_FOURTEEN_OR_OVER
			}
			r.RequestId, r.ClientReference = c.mint("phone", "request_id"), c.mint("id", "client_reference")
			r.GetConsent().EvidenceRef = c.mint("card", "evidence_ref")
			if reason := c.send("Verify "+product, verify, customer.conn, request{r}); reason != "" {
				c.t.Errorf("%s: %s", product, reason)
				continue
			}
			c.answered[product]++
			c.replayed = append(c.replayed, r)
			again := proto.CloneOf(r)
			again.RequestId, again.GetConsent().EvidenceRef = c.mint("phone", "batch request_id"), c.mint("card", "batch evidence_ref")
			bulk.Requests = append(bulk.Requests, again)
		}
		c.send("BatchVerify "+product, batch, c.customers[i%len(c.customers)].conn, request{bulk})
	}
}

// lawful sends each template as it is: what members() changes one member of would be carried out.
func (c *canaries) lawful() {
	for _, m := range methodsOfAPI() {
		list := templates[m.name]
		if len(list) == 0 {
			c.t.Errorf("%s has no template: canaries do not reach it", m.name)
		}
		for i, template := range list {
			customer := c.customers[i%len(c.customers)]
			reason := c.send(m.name, m, c.conn(template.as, customer), template.build(c.office, customer))
			if reason != "" && reason != "APPROVAL_REQUIRED" {
				c.t.Errorf("%s, template %d, is not lawful: %s", m.name, i, reason)
			}
		}
	}
}

// public members are published: the operator's privacy policy has to name a number that answers (PIPL art. 17(1)).
var public = map[string]bool{
	"ComplianceService/PublishPolicy policy.text":    true,
	"ComplianceService/PublishPolicy policy.contact": true,
}

// members sends marked values in every string member of every request, one member at a time.
func (c *canaries) members() {
	all := methodsOfAPI()
	for name := range maps.Keys(templates) {
		if !slices.ContainsFunc(all, func(m method) bool { return m.name == name }) {
			c.t.Errorf("a template for %s, which is no method", name)
		}
	}
	c.methods = len(all)
	var work sync.WaitGroup
	turn := make(chan struct{}, 8)
	for i, m := range all {
		work.Go(func() {
			turn <- struct{}{}
			defer func() { <-turn }()
			customer := c.customers[i%len(c.customers)]
			for _, path := range membersOf(m.desc.Input(), nil) {
				c.member(m, path, customer)
			}
		})
	}
	work.Wait()
}

// member sends marked values in one member, in the template that reaches furthest with it.
func (c *canaries) member(m method, path memberPath, customer *customer) {
	where := m.name + " " + path.String()
	if public[where] {
		return
	}
	var best *template
	for _, t := range templates[m.name] {
		r := t.build(c.office, customer)
		// One that sets the member itself reaches further than one that only has room for it.
		if set := path.isSet(r); path.putIn(r, "x") && (set || best == nil) {
			best = &t
			if set {
				break
			}
		}
	}
	c.mu.Lock()
	c.walked++
	c.mu.Unlock()
	if best == nil {
		c.t.Errorf("%s: no template sets what it is part of", where)
		return
	}
	for _, value := range c.valuesFor(path, where) {
		r := best.build(c.office, customer)
		path.putIn(r, value)
		c.send(where, m, c.conn(best.as, customer), r)
	}
}

// valuesFor mints what a member is sent: values that are valid, that are not, and in other members than their own.
func (c *canaries) valuesFor(path memberPath, where string) (values []string) {
	if path.ofFields() {
		for _, kind := range kinds {
			values = append(values, c.mint(kind, where))
		}
		wrong := spoil(c.mint("id", where))
		return append(values, c.mark(wrong, where+" (wrong check digit)"), c.mark(values[0]+"Ж", where+" (wrong script)"),
			wide(c.mint("phone", where)), "+86 "+c.mint("phone", where), strings.Repeat(c.mint("card", where), 20))
	}
	for _, kind := range kinds[1:5] {
		values = append(values, c.mint(kind, where))
	}
	values = append(values, "acme-"+c.mint("phone", where), "order:"+c.mint("card", where), "客户"+c.mint("id", where)+"，请回电"+c.mint("phone", where),
		wide(c.mint("phone", where)), "spiffe://acme/"+c.mint("id", where), "https://"+c.mint("phone", where)+".example", "verifications/"+c.mint("id", where))
	if !forPeople[string(path[len(path)-1].Name())] {
		values = append(values, c.mint("name", where), c.mint("licence", where))
	}
	return values
}

// forPeople are members with text or words for people. A name in one cannot be told from other text, nor the licence
// number of a foreign document from other words (verifier/field, CarriesValue): who writes one there has it kept, in the
// business store.
var forPeople = map[string]bool{
	"contract_ref": true, "reference": true, "subject_alt_name": true,
	"display_name": true, "reason": true, "label": true, "description": true, "citation": true, "title": true, "change_summary": true,
	"nature": true, "use": true, "contact": true, "version": true,
}

// wide writes digits as full-width ones.
func wide(s string) string {
	return strings.Map(func(r rune) rune { return r + 0xfee0 }, s)
}

// listen has everybody else read everything that they may.
func (c *canaries) listen() {
	for _, m := range methodsOfAPI() {
		name := m.name[strings.IndexByte(m.name, '/')+1:]
		if !strings.HasPrefix(name, "List") && !strings.HasPrefix(name, "Get") {
			continue
		}
		for _, template := range templates[m.name] {
			r := template.build(c.office, c.shop)
			if name == "ListLogEntries" {
				r = request{&heyanv1.ListLogEntriesRequest{}} // all of it
			}
			if reason := c.send("another's "+m.name, m, c.conn(template.as, c.shop), r); reason != "" {
				c.t.Errorf("another's %s: %s", m.name, reason)
			}
		}
	}
}

// cutShort kills the server in the middle of batches and of an import.
func (c *canaries) cutShort() {
	// What is said from here on is cut off: nobody waits for it.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var callers sync.WaitGroup
	begun := make(chan struct{}, 8)
	for i := range 6 {
		customer := c.customers[i%len(c.customers)]
		r := &heyanv1.BatchVerifyRequest{}
		for range 30 {
			p := c.person("batch that is cut short")
			item := customer.verify(c.office)
			item.Product, item.Fields, item.RequestId = "card4", fieldsOfProduct("card4", p), c.mint("phone", "request_id of a batch that is cut short")
			item.GetConsent().EvidenceRef = c.mint("id", "evidence_ref of a batch that is cut short")
			r.Requests = append(r.Requests, item)
		}
		callers.Go(func() {
			begun <- struct{}{}
			_, _ = heyanv1.NewVerificationServiceClient(customer.conn).BatchVerify(ctx, r)
		})
	}
	var rows []*heyanv1.ImportRows_Row
	for range 50 {
		rows = append(rows, &heyanv1.ImportRows_Row{Fields: c.person("import that is cut short")})
	}
	stream, err := heyanv1.NewAdminServiceClient(c.crew.system).ImportRecords(ctx)
	c.must(err)
	for _, m := range importOf("cut", rows...) {
		_ = stream.SendMsg(m)
	}
	for range 6 {
		<-begun
	}
	time.Sleep(25 * time.Millisecond)
	c.process.kill()
	cancel()
	callers.Wait()
	c.keep("standard error until the kill", []byte(c.process.text()))
}

func (c *canaries) restart() {
	c.process = startProcess(c.t, c.home, c.env...)
	c.crew.close()
	c.crew = crewOf(c.t, c.home, c.process.serving.Address)
	for _, customer := range append(slices.Clone(c.customers), c.shop, c.pending) {
		customer.conn = dialPlain(c.t, c.home, c.process.serving.Address, customer.key)
	}
}

// asked is who sent the request that is to be replayed.
func (c *canaries) asked(i int) *customer { return c.customers[i/4%len(c.customers)] }

// replays sends requests again after the restart: what was answered is found by digests alone.
func (c *canaries) replays() {
	for i, r := range c.replayed {
		answer, err := heyanv1.NewVerificationServiceClient(c.asked(i).conn).Verify(context.Background(), r)
		if err != nil || !answer.GetVerification().GetReused() {
			c.t.Errorf("replay of %s: reused %v, %v", r.GetProduct(), answer.GetVerification().GetReused(), err)
		}
	}
	list, err := heyanv1.NewVerificationServiceClient(c.customers[0].conn).ListVerifications(context.Background(), &heyanv1.ListVerificationsRequest{
		RequestId: c.replayed[0].GetRequestId(), StartTime: timestamppb.New(time.Now().Add(-time.Hour))})
	if err != nil || len(list.GetVerifications()) != 1 {
		c.t.Errorf("%d verifications under a request_id, %v", len(list.GetVerifications()), err)
	}
}

// tally fails where the run did less than it seems: nothing found would then prove nothing.
func (c *canaries) tally() {
	if len(c.answered) != len(allProducts) {
		c.t.Errorf("products answered: %v", c.answered)
	}
	for _, want := range []string{
		"VerificationService/Verify FIELD_MALFORMED", "VerificationService/Verify FIELD_NOT_IN_PRODUCT", "VerificationService/Verify ",
		"AdminService/UpdateClient FREE_TEXT_CARRIES_PII", "AdminService/CreateClient FREE_TEXT_CARRIES_PII", "ConsentService/WithdrawConsent ",
		"AdminService/ImportRecords ", "ComplianceService/Reject FREE_TEXT_CARRIES_PII",
	} {
		if c.byReason[want] == 0 {
			c.t.Errorf("no call ended as %q", want)
		}
	}
	for where, sign := range map[string]string{
		"traces": "heyan.v1.VerificationService/Verify", "metrics": "heyan_", "standard error": "serving",
	} {
		i := slices.IndexFunc(c.kept, func(k kept) bool { return k.where == where })
		if i < 0 || !strings.Contains(string(c.kept[i].bytes), sign) {
			c.t.Errorf("%s: nothing was collected", where)
		}
	}
}
