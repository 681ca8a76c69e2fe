package main

import (
	"slices"
	"strings"

	"github.com/heyan-project/heyan/verifier/field"
	"github.com/heyan-project/heyan/verifier/role"
)

// next says which commands help after a refusal, "" lines excluded.
func (a *app) next(r refusal) []string {
	switch r.Reason {
	case "APPROVAL_REQUIRED":
		return a.nextApproval(r)
	case "CREDENTIAL_MISSING":
		return []string{"name a credential: --profile NAME, --cert-file with --key-file, or HEYAN_API_KEY_FILE"}
	case "CREDENTIAL_INVALID", "CREDENTIAL_EXPIRED":
		return []string{"a system administrator sees the state: heyan credential list --client CLIENT"}
	case "CREDENTIAL_LOCKED":
		return []string{"a security administrator unlocks it: heyan credential unlock ID --reason TEXT"}
	case "PRODUCT_NOT_ENTITLED", "PURPOSE_NOT_ENTITLED", "ENTITLEMENT_EXPIRED", "LEGAL_BASIS_UNSUPPORTED":
		return []string{"see what this client has bought: heyan whoami",
			"a security administrator sells: heyan entitlement set CLIENT PRODUCT --purpose PURPOSE --handler-role ROLE --expire DATE"}
	case "FIELD_NOT_IN_PRODUCT", "FIELD_MISSING":
		if r.Reason == "FIELD_MISSING" && !r.aboutValues() {
			return nil
		}
		return []string{"see the fields of a product: heyan product get PRODUCT"}
	case "FIELD_MALFORMED":
		if !r.aboutValues() {
			return nil
		}
		return []string{"see how a value is read: heyan normalize --field FIELD, with the value on standard input"}
	case "CONSENT_MISSING", "CONSENT_SCOPE", "CONSENT_RENEWAL_REQUIRED", "PURPOSE_NOT_CONSENTED", "RECIPIENT_NOT_CONSENTED":
		return []string{"see the notices on file: heyan notice list",
			"then state one: --notice ID --evidence-ref REF --obtain-time TIME"}
	case "ROLE_REQUIRED", "SEPARATION_OF_DUTIES":
		return []string{"repeat it as somebody else: --profile NAME"}
	case "REQUEST_ID_REUSED":
		return []string{"leave --request-id out, and a new one is made"}
	case "QUOTA_EXCEEDED":
		return []string{"see what was used: heyan usage"}
	case "DATASET_NOT_ACTIVE":
		return []string{"see states: heyan dataset list"}
	case "POLICY_VERSION_REQUIRED":
		if r.cause("recipient.policy_version") != "" {
			return []string{"publish a version that lists it: heyan policy publish VERSION --material-change recipients …, then name it with --policy-version VERSION"}
		}
		return []string{"read and acknowledge the policy in force: heyan policy get, heyan policy acknowledge VERSION"}
	case "INTERNAL":
		return a.nextEntry(r.LogEntry)
	}
	if r.Handling == "RETRY_SAME_ID" && a.requestID != "" {
		return []string{"repeat it with --request-id " + a.requestID}
	}
	return nil
}

// cause is what a refusal says of a member of the request, "" for nothing.
func (r refusal) cause(member string) string {
	for _, v := range r.Fields {
		if v.Field == member {
			return v.Cause
		}
	}
	return ""
}

// aboutValues reports whether a refusal names one of the six fields.
func (r refusal) aboutValues() bool {
	return slices.ContainsFunc(r.Fields, func(v violation) bool {
		name := v.Field[strings.LastIndex(v.Field, ".")+1:]
		_, ok := field.KindByName(name)
		return ok
	})
}

func (a *app) nextEntry(entry string) []string {
	if entry == "" {
		return nil
	}
	return []string{"an auditor reads the record: heyan log get " + entry}
}

// nextApproval is the commands that carry out an act of two persons: what to do depends on why the approval that was
// named, if any, does not let it pass.
func (a *app) nextApproval(r refusal) []string {
	anew := "ask anew: " + commandLine(withoutFlag(a.args, "--approval"))
	switch r.cause("approval") {
	case role.CauseOtherContent:
		return []string{"see what was approved, and repeat exactly that: heyan approval list", "or " + anew}
	case role.CauseUsed:
		return []string{"see what was done: heyan approval list", "to do it once more, " + anew}
	case role.CauseRejected:
		return []string{"see why: heyan approval list --state rejected -o json", "then " + anew}
	case role.CauseLapsed:
		return []string{anew}
	}
	id := r.Metadata["approval"]
	if id == "" {
		return []string{"another person sees what waits: heyan approval list"}
	}
	return []string{
		"another person, with a profile of their own: heyan approval approve " + shellQuote(id),
		"then again: " + commandLine(append(withoutFlag(a.args, "--approval"), "--approval", id)),
	}
}

// withoutFlag drops a flag with its value, in either spelling.
func withoutFlag(args []string, flag string) []string {
	kept := make([]string, 0, len(args))
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == flag:
			i++
		case strings.HasPrefix(args[i], flag+"="):
		default:
			kept = append(kept, args[i])
		}
	}
	return kept
}

func commandLine(args []string) string {
	words := []string{"heyan"}
	for _, arg := range args {
		words = append(words, shellQuote(arg))
	}
	return strings.Join(words, " ")
}

// shellQuote makes a word that a POSIX shell reads as text.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
