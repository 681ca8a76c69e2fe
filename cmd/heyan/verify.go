package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/field"
)

// verification is the flags of `heyan verify`.
type verification struct {
	values      values
	request     *heyanv1.VerifyRequest
	consent     *heyanv1.VerifyRequest_Consent
	guardian    *heyanv1.Guardian
	consentID   string
	legalBasis  string
	receiptFile string
	sample      bool
	jsonl       bool
	workers     int
}

func verifyCommand(a *app) *cobra.Command {
	v := &verification{
		request: &heyanv1.VerifyRequest{}, consent: &heyanv1.VerifyRequest_Consent{}, guardian: &heyanv1.Guardian{},
	}
	cmd := &cobra.Command{
		Use:   "verify PRODUCT",
		Short: "Ask whether values belong together",
		Long: `Verify sends one request and prints the answer. Exit code 0 is MATCH, 1 any other verdict.

Values are better given on standard input (--stdin) than by flag: flags are seen by every user of the machine and stay
in the shell's history. The ground is a notice that the person agreed to (--notice, --evidence-ref, --obtain-time), a
consent on file (--consent) or a registered legal basis (--legal-basis).

A --request-id is made where none is given, and printed. Repeat a failed call with the same one: it is answered once and
billed once.

With --jsonl, a line of standard input is a VerifyRequest in proto JSON, and a line of standard output is
{"verification":{…}} or {"error":{"code":…,"reason":…}}, in the same order. Exit code 0 means that every line was
answered, 4 that one was not.`,
		Example: `  heyan verify id2 --sample
  heyan verify id2 --stdin --notice onboarding-v3 --evidence-ref agr-8841 --obtain-time now < person.json
  heyan verify phone3 --stdin --legal-basis aml-kyc --purpose customer_due_diligence -o json < person.json
  heyan verify --jsonl < requests.jsonl > answers.jsonl`,
		ValidArgsFunction: cobra.FixedCompletions([]string{"id2", "phone2", "phone3", "card2", "card3", "card4", "plate2",
			"plate3", "driver2", "driver3"}, cobra.ShellCompDirectiveNoFileComp),
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if v.jsonl {
			return arguments()(cmd, args)
		}
		return arguments("PRODUCT")(cmd, args)
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if v.jsonl {
			return a.verifyLines(cmd.Context(), v.workers)
		}
		return a.verifyOne(cmd.Context(), v, args[0])
	}
	v.flags(a, cmd)
	return cmd
}

func (v *verification) flags(a *app, cmd *cobra.Command) {
	flags := cmd.Flags()
	v.values.add(cmd)
	flags.BoolVar(&v.sample, "sample", false, "use an invented person of the development server")
	flags.StringVar(&v.request.RequestId, "request-id", "", "idempotency key; made where absent")
	flags.StringVar(&v.consent.Notice, "notice", "", "notice that the person agreed to")
	flags.StringVar(&v.consent.EvidenceRef, "evidence-ref", "", "your reference to the evidence of the consent")
	a.addTime(cmd, &v.consent.ObtainTime, "obtain-time", "when the person agreed")
	flags.StringVar(&v.consentID, "consent", "", "id of a consent on file")
	flags.StringVar(&v.legalBasis, "legal-basis", "", "id of a registered legal basis")
	addEnum(cmd, &v.request.Purpose, "purpose", "what it is for")
	addEnum(cmd, &v.request.AgeDeclaration, "age-declaration", "what the person declares")
	addEnum(cmd, &v.guardian.Relation, "guardian-relation", "for a person under 14, who agreed")
	flags.StringVar(&v.guardian.EvidenceRef, "guardian-evidence-ref", "", "your reference to the guardian's consent")
	a.addTime(cmd, &v.guardian.ObtainTime, "guardian-obtain-time", "when the guardian agreed")
	flags.StringVar(&v.request.PlateKind, "plate-kind", "", "kind of the licence plate, two digits")
	flags.StringVar(&v.request.ClientReference, "client-reference", "", "your own reference, echoed in this answer")
	flags.StringVar(&v.receiptFile, "return-receipt", "", "write the receipt to this file")
	flags.BoolVar(&v.request.ValidateOnly, "validate-only", false, "run every gate, ask no source, store and bill nothing")
	flags.BoolVar(&v.jsonl, "jsonl", false, "many requests, a line each")
	flags.IntVar(&v.workers, "concurrency", 16, "with --jsonl: requests under way at once, 1–256")
	cmd.MarkFlagsMutuallyExclusive("notice", "consent", "legal-basis")
	cmd.MarkFlagsMutuallyExclusive("sample", "stdin")
	cmd.MarkFlagsMutuallyExclusive("jsonl", "sample")
	cmd.MarkFlagsMutuallyExclusive("jsonl", "stdin")
}

func (a *app) verifyOne(ctx context.Context, v *verification, product string) error {
	request := v.request
	request.Product = product
	if err := v.ground(); err != nil {
		return err
	}
	if v.guardian.GetEvidenceRef() != "" || v.guardian.GetRelation() != 0 || v.guardian.GetObtainTime() != nil {
		request.Guardian = v.guardian
	}
	var err error
	if request.Fields, err = v.values.read(a); err != nil {
		return err
	}
	if request.RequestId == "" {
		if request.RequestId, err = a.newID("cli-"); err != nil {
			return err
		}
	}
	request.ReturnReceipt = v.receiptFile != ""
	a.requestID = request.RequestId
	return a.with(ctx, func(ctx context.Context, conn *dial.Connection) error {
		if v.sample {
			if err := a.fromSample(ctx, conn, request); err != nil {
				return err
			}
		}
		answer, err := heyanv1.NewVerificationServiceClient(conn).Verify(ctx, request)
		if err != nil {
			return err
		}
		if request.ValidateOnly {
			return a.printValidation(answer)
		}
		return a.printVerification(answer, request.RequestId, v.receiptFile)
	})
}

// ground sets the one ground that the flags state. Whether there has to be one is the server's to say.
func (v *verification) ground() error {
	inline := v.consent.GetNotice() != ""
	if !inline && (v.consent.GetEvidenceRef() != "" || v.consent.GetObtainTime() != nil) {
		return usageError("--evidence-ref and --obtain-time belong to a --notice", "")
	}
	switch {
	case inline:
		if v.consent.GetEvidenceRef() == "" || v.consent.GetObtainTime() == nil {
			return usageError("--notice needs --evidence-ref and --obtain-time", "they say where and when this person agreed")
		}
		v.request.Ground = &heyanv1.VerifyRequest_Consent_{Consent: v.consent}
	case v.consentID != "":
		v.request.Ground = &heyanv1.VerifyRequest_ConsentId{ConsentId: v.consentID}
	case v.legalBasis != "":
		v.request.Ground = &heyanv1.VerifyRequest_LegalBasis{LegalBasis: v.legalBasis}
	}
	return nil
}

// fromSample fills what the flags left open with an invented person and the development server's notice.
func (a *app) fromSample(ctx context.Context, conn *dial.Connection, request *heyanv1.VerifyRequest) error {
	sample, err := a.profileSample()
	if err != nil {
		return err
	}
	product, err := heyanv1.NewCatalogServiceClient(conn).GetProduct(ctx, &heyanv1.GetProductRequest{Id: request.GetProduct()})
	if err != nil {
		return err
	}
	people := sample.matching(product)
	if len(people) == 0 {
		return usageError("no sample person has all the fields of this product", "")
	}
	for _, kind := range field.Kinds() {
		value := getField(people[0].Fields, kind)
		if value != nil && getField(request.GetFields(), kind) == nil {
			setField(request.GetFields(), kind, *value)
		}
	}
	a.submit(request.GetFields())
	if request.GetPlateKind() == "" {
		request.PlateKind = people[0].PlateKind
	}
	return a.sampleGround(request, sample)
}

func (a *app) sampleGround(request *heyanv1.VerifyRequest, sample *sampleFile) error {
	if request.GetPurpose() == 0 && sample.Purpose != "" {
		purpose, err := parseEnum[heyanv1.Purpose](sample.Purpose)
		if err != nil {
			return usageError("the sample's purpose "+err.Error(), "")
		}
		request.Purpose = purpose
	}
	if request.GetGround() != nil || sample.Notice == "" {
		return nil
	}
	evidence, err := a.newID("sample-")
	if err != nil {
		return err
	}
	request.Ground = &heyanv1.VerifyRequest_Consent_{Consent: &heyanv1.VerifyRequest_Consent{
		Notice: sample.Notice, EvidenceRef: evidence, ObtainTime: stamp(a.Now()),
	}}
	return nil
}
