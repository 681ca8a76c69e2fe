package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/heyan-project/heyan/cmd/heyan/internal/dial"
	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	"github.com/heyan-project/heyan/cmd/heyan/internal/saved"
	logv1 "github.com/heyan-project/heyan/proto/heyan/log/v1"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/store/netlog/record"
	"github.com/heyan-project/heyan/store/netlog/tree"
	"github.com/heyan-project/heyan/verifier/field"
)

func logReceipt(a *app) *cobra.Command {
	cmd := parent(&cobra.Command{
		Use:   "receipt",
		Short: "Read receipts, and prove them without a server",
	})
	cmd.AddCommand(receiptGet(a), receiptVerify(a))
	return cmd
}

func receiptGet(a *app) *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "get VERIFICATION",
		Short:   "Read the receipt of a verification of this client",
		Example: `  heyan log receipt get 0190… -f receipt.json`,
		Args:    arguments("VERIFICATION"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.with(cmd.Context(), func(ctx context.Context, conn *dial.Connection) error {
				answer, err := heyanv1.NewVerificationServiceClient(conn).GetReceipt(ctx, &heyanv1.GetReceiptRequest{Id: args[0]})
				if err != nil {
					return err
				}
				if path == "" {
					return output.JSON(a.Out, answer)
				}
				if err := writeReceipt(path, answer); err != nil {
					return err
				}
				a.note("receipt written to %s", path)
				return nil
			})
		},
	}
	cmd.Flags().StringVarP(&path, "file", "f", "", "write it to this file; else to standard output")
	return cmd
}

func receiptVerify(a *app) *cobra.Command {
	var person values
	var key, product string
	var opening []byte
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Prove a receipt without a server",
		Long: `Verify answers two questions apart. Is the record in the log whose key is given? And is it about these values? The
second takes the opening that came with the answer, and the values as they were sent; without them the receipt is about
nobody. Exit code 0 means that what was asked is proven.`,
		Example: `  heyan log receipt verify receipt.json --key node1.vkey
  heyan log receipt verify receipt.json --key node1.vkey --opening 5f3a… --stdin < person.json`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			verifier, err := verifierKey(key)
			if err != nil {
				return err
			}
			receipt, err := readReceipt(args[0])
			if err != nil {
				return err
			}
			fields, err := person.read(a)
			if err != nil {
				return err
			}
			if (opening != nil) != (len(valuesOf(fields)) > 0) {
				return usageError("the opening and the values are given together, or neither", "without them a receipt is about nobody; the opening came with the answer")
			}
			return a.proveReceipt(receipt, verifier, claim{product, opening, fields})
		},
	}
	person.add(cmd)
	cmd.Flags().StringVar(&key, "key", "", "verifier key of the log, or a file that holds it")
	cmd.Flags().Var(bytesFlag{&opening, record.OpeningSize}, "opening", "the opening of the answer, hexadecimal or base64")
	cmd.Flags().StringVar(&product, "product", "", "product of the verification; absent = the record's")
	required(cmd, "key")
	return cmd
}

// readReceipt reads a receipt in proto JSON, alone or inside an answer of Verify.
func readReceipt(path string) (*heyanv1.Receipt, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	receipt, answer := &heyanv1.Receipt{}, &heyanv1.VerifyResponse{}
	if protojson.Unmarshal(raw, receipt) == nil && len(receipt.GetLeaf()) > 0 {
		return receipt, nil
	}
	if protojson.Unmarshal(raw, answer) == nil && len(answer.GetVerification().GetReceipt().GetLeaf()) > 0 {
		return answer.GetVerification().GetReceipt(), nil
	}
	return nil, usageError(path+": not a receipt", "heyan verify --return-receipt FILE and heyan log receipt get write one")
}

// claim is what is said of a receipt: these values, by this opening.
type claim struct {
	product string
	opening []byte
	fields  *heyanv1.Fields
}

// proof is what `log receipt verify` answers.
type proof struct {
	InLog  string          `json:"in_log"`
	Values string          `json:"values"`
	Origin string          `json:"origin,omitempty"`
	Index  uint64          `json:"index"`
	Size   uint64          `json:"size,omitempty"`
	Record json.RawMessage `json:"record,omitempty"`
	// Of a reconciled PENDING: whether the record that holds the verdict is in the log.
	ResolutionInLog  string          `json:"resolution_in_log,omitempty"`
	ResolutionRecord json.RawMessage `json:"resolution_record,omitempty"`
}

// Answers to the two questions.
const (
	proven     = "proven"
	notProven  = "NOT PROVEN"
	noOpening  = "not shown (no opening)"
	noValues   = "not shown (no values)"
	mismatches = "DOES NOT MATCH"
)

func (a *app) proveReceipt(receipt *heyanv1.Receipt, key tree.Verifier, c claim) error {
	var p proof
	at, place, text := inLog(receipt.GetLeaf(), receipt.GetProof(), key)
	p.InLog, p.Index, p.Origin, p.Size = text, at, place.Origin, place.Size
	leaf, err := saved.Decode(receipt.GetLeaf())
	if err == nil {
		p.Record, err = output.Sparse(leaf)
	}
	if err != nil {
		return &exitError{exitNo, "the receipt's leaf is no record of the log", ""}
	}
	if !isAnswer(leaf) {
		p.InLog = notProven + " (the record is no answer to a verification)"
	}
	if len(receipt.GetResolutionLeaf()) > 0 {
		_, _, p.ResolutionInLog = inLog(receipt.GetResolutionLeaf(), receipt.GetResolutionProof(), key)
		resolution, err := saved.Decode(receipt.GetResolutionLeaf())
		if err != nil || !resolves(resolution, leaf) {
			p.ResolutionInLog = notProven + " (the record is no reconciliation of this verification)"
		}
		if err == nil {
			if p.ResolutionRecord, err = output.Sparse(resolution); err != nil {
				return err
			}
		}
	}
	p.Values = a.aboutValues(leaf, c)
	if err := a.printReceiptProof(p, leaf); err != nil {
		return err
	}
	if p.InLog != proven || p.Values == mismatches || p.ResolutionInLog != "" && p.ResolutionInLog != proven {
		return errNo
	}
	return nil
}

// isAnswer tells whether a record says what a verification was answered.
func isAnswer(leaf *logv1.Record) bool {
	switch leaf.GetEvent() {
	case record.VerificationVerify.String(), record.VerificationBatchItem.String(), record.VerificationRecovered.String():
		return leaf.GetOutcome().GetKind() == logv1.OutcomeKind_OUTCOME_KIND_SUCCESS
	}
	return false
}

// resolves tells whether a record settles a verification whose answer was that nothing is known yet.
func resolves(resolution, answer *logv1.Record) bool {
	return resolution.GetEvent() == record.VerificationReconciled.String() && answer.GetProcessing().GetVerdict() == "" &&
		resolution.GetObject().GetType() == "verification" && resolution.GetObject().GetId() == answer.GetObject().GetId()
}

func inLog(leaf, text []byte, key tree.Verifier) (uint64, tree.Checkpoint, string) {
	parsed, err := tree.ParseProof(text)
	if err != nil {
		return 0, tree.Checkpoint{}, notProven + " (malformed proof)"
	}
	place, err := parsed.Verify(leaf, key)
	if err != nil {
		return parsed.Index, tree.Checkpoint{}, notProven + " (" + strings.TrimPrefix(err.Error(), "tree: ") + ")"
	}
	return parsed.Index, place, proven
}

// aboutValues says whether the record's commitment opens to the claimed values.
func (a *app) aboutValues(leaf *logv1.Record, c claim) string {
	switch {
	case c.opening == nil:
		return noOpening
	case len(valuesOf(c.fields)) == 0:
		return noValues
	}
	product := c.product
	if product == "" {
		product = leaf.GetProcessing().GetProduct()
	}
	rules := field.AnyCard() // the server answered, so its configuration exempts a card that fails the Luhn check
	var committed []record.CommittedField
	for _, kind := range field.Kinds() {
		value := getField(c.fields, kind)
		if value == nil {
			continue
		}
		parsed, err := rules.Parse(kind, *value, a.Now())
		if err != nil {
			return mismatches // no verification was ever answered about it
		}
		committed = append(committed, record.CommittedField{
			Number: uint32(kind), Form: uint32(parsed.Form()), Canonical: []byte(parsed.Canonical().Reveal()),
		})
	}
	if len(leaf.GetCommitment()) != 32 ||
		!record.Opens([32]byte(leaf.GetCommitment()), c.opening, record.Committed(product, committed)) {
		return mismatches
	}
	return proven
}

func (a *app) printReceiptProof(p proof, leaf *logv1.Record) error {
	if a.json() {
		return output.Value(a.Out, p)
	}
	table := output.NewTable()
	table.Row("in the log", p.InLog)
	table.Row("about these values", p.Values)
	if p.ResolutionInLog != "" {
		table.Row("reconciliation in the log", p.ResolutionInLog)
	}
	if p.Size > 0 {
		table.Row("place", fmt.Sprintf("%s/%d, tree of %d", p.Origin, p.Index, p.Size))
	}
	table.Row("time", time.Unix(0, int64(leaf.GetTimeUnixNano())).In(beijing).Format(time.RFC3339Nano))
	flatten(table, "", leaf.ProtoReflect())
	_, err := table.WriteTo(a.Out)
	return err
}
