package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"google.golang.org/grpc/status"

	"github.com/heyan-project/heyan/cmd/heyan/internal/output"
	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
)

func (a *app) printVerification(answer *heyanv1.VerifyResponse, requestID, receiptFile string) error {
	v := answer.GetVerification()
	if receiptFile != "" {
		if err := writeReceipt(receiptFile, v.GetReceipt()); err != nil {
			return err
		}
	}
	if err := a.print(answer, verificationTable(v, requestID)); err != nil {
		return err
	}
	if v.GetVerdict() != heyanv1.Verdict_VERDICT_MATCH {
		return errNo
	}
	return nil
}

func verificationTable(v *heyanv1.Verification, requestID string) *output.Table {
	table := output.NewTable()
	row := func(name, value string) {
		if value != "" {
			table.Row(name, value)
		}
	}
	row("verdict", strings.TrimSpace(enumText(v.GetVerdict())+" "+verdictChinese(v.GetVerdict())))
	if v.GetState() != heyanv1.Verification_STATE_ACTIVE {
		row("state", enumText(v.GetState()))
	}
	row("reconcile by", whenZoned(v.GetReconcileBy()))
	row("product", v.GetProduct())
	for _, result := range v.GetFieldResults() {
		row("  "+strings.ToLower(enumText(result.GetField())), enumText(result.GetVerdict()))
	}
	row("purpose", strings.ToLower(enumText(v.GetPurpose())))
	row("source", strings.TrimSpace(v.GetSource()+" "+v.GetDataset()))
	row("source as of", whenZoned(v.GetSourceAsOf()))
	row("source code", v.GetSourceCode())
	row("billing", enumText(v.GetBilling()))
	row("reused", mark(v.GetReused()))
	row("test", mark(v.GetTest()))
	row("consent", v.GetConsent())
	row("legal basis", v.GetLegalBasis())
	row("policy", v.GetPolicyVersion())
	for _, remark := range v.GetRemarks() {
		row("remark", strings.ToLower(enumText(remark.GetField()))+" "+remark.GetCode())
	}
	row("time", whenZoned(v.GetVerifyTime()))
	row("kept until", whenZoned(v.GetExpireTime()))
	row("id", v.GetId())
	row("request id", requestID)
	row("client ref.", v.GetClientReference())
	row("log entry", entryText(v.GetLogEntry()))
	row("opening", hex.EncodeToString(v.GetOpening()))
	return table
}

func verdictChinese(v heyanv1.Verdict) string {
	switch v {
	case heyanv1.Verdict_VERDICT_MATCH:
		return "一致"
	case heyanv1.Verdict_VERDICT_MISMATCH:
		return "不一致"
	case heyanv1.Verdict_VERDICT_NO_RECORD:
		return "无记录"
	case heyanv1.Verdict_VERDICT_NOT_VERIFIABLE:
		return "无法核验"
	case heyanv1.Verdict_VERDICT_INSTRUMENT_BLOCKED:
		return "已冻结或注销"
	}
	return "尚无结果"
}

// entryText is the text form of a place in the log.
func entryText(p *heyanv1.LogPosition) string {
	if p == nil {
		return ""
	}
	return fmt.Sprintf("%s/%d", p.GetOrigin(), p.GetIndex())
}

func (a *app) printValidation(answer *heyanv1.VerifyResponse) error {
	validation := answer.GetValidation()
	if a.json() {
		if err := output.JSON(a.Out, answer); err != nil {
			return err
		}
	} else {
		table := output.NewTable()
		table.Row("valid", fmt.Sprint(validation.GetValid()))
		for _, violation := range validation.GetViolations() {
			r := refusalOf(status.FromProto(violation), "").scrub(a.submitted)
			table.Row(r.Code, strings.Join(append([]string{r.Reason}, fieldTexts(r.Fields)...), " "))
		}
		if _, err := table.WriteTo(a.Out); err != nil {
			return err
		}
	}
	if !validation.GetValid() {
		return errNo
	}
	return nil
}

func fieldTexts(violations []violation) []string {
	var texts []string
	for _, v := range violations {
		texts = append(texts, strings.TrimSpace(v.Field+" "+v.Cause))
	}
	return texts
}

// writeReceipt writes a receipt in proto JSON. The opening is not part of it: without it the file is about nobody.
func writeReceipt(path string, receipt *heyanv1.Receipt) error {
	if receipt == nil {
		return usageError("the answer came without a receipt, so no file was written", "")
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	return joinClose(output.JSON(file, receipt), file)
}
