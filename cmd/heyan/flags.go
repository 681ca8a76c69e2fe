package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// badValue says what form a flag's value has to have, and never repeats the value.
type badValue struct{ wants string }

// Error implements error.
func (e *badValue) Error() string { return "wants " + e.wants }

// choiceFlag is a string out of a list.
type choiceFlag struct {
	target  *string
	choices []string
}

// choice makes a flag whose first choice is its default.
func choice(target *string, choices ...string) *choiceFlag {
	*target = choices[0]
	return &choiceFlag{target, choices}
}

func (f *choiceFlag) Set(text string) error {
	if !slices.Contains(f.choices, text) {
		return &badValue{strings.Join(f.choices, " or ")}
	}
	*f.target = text
	return nil
}

func (f *choiceFlag) String() string { return *f.target }
func (f *choiceFlag) Type() string   { return "string" }

// enumeration is a type of a generated enum.
type enumeration interface {
	~int32
	protoreflect.Enum
}

// enumNames returns the names of an enum as the command line writes them: without prefix, in lower case.
func enumNames[E enumeration]() []string {
	values := E(0).Descriptor().Values()
	prefix := enumPrefix(values)
	var names []string
	for i := 1; i < values.Len(); i++ {
		names = append(names, strings.ToLower(strings.TrimPrefix(string(values.Get(i).Name()), prefix)))
	}
	return names
}

// enumPrefix is what all names of an enum begin with: that of its zero without UNSPECIFIED.
func enumPrefix(values protoreflect.EnumValueDescriptors) string {
	return strings.TrimSuffix(string(values.Get(0).Name()), "UNSPECIFIED")
}

// parseEnum reads a name with or without its prefix, in any case, with - or _.
func parseEnum[E enumeration](text string) (E, error) {
	values := E(0).Descriptor().Values()
	name := strings.ToUpper(strings.ReplaceAll(text, "-", "_"))
	prefix := enumPrefix(values)
	for _, candidate := range []string{name, prefix + name} {
		if value := values.ByName(protoreflect.Name(candidate)); value != nil && value.Number() != 0 {
			return E(value.Number()), nil
		}
	}
	return 0, &badValue{"one of " + strings.Join(enumNames[E](), ", ")}
}

// enumText prints a value without its enum's prefix, "" for the zero.
func enumText[E enumeration](value E) string {
	if value == 0 {
		return ""
	}
	values := value.Descriptor().Values()
	known := values.ByNumber(protoreflect.EnumNumber(value))
	if known == nil {
		return strconv.Itoa(int(value))
	}
	return strings.TrimPrefix(string(known.Name()), enumPrefix(values))
}

// enumList prints values, separated by commas, in lower case.
func enumList[E enumeration](values []E) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = strings.ToLower(enumText(value))
	}
	return strings.Join(texts, ",")
}

// enumFlag is one value of an enum.
type enumFlag[E enumeration] struct{ target *E }

func (f enumFlag[E]) Set(text string) (err error) {
	*f.target, err = parseEnum[E](text)
	return err
}
func (f enumFlag[E]) String() string { return strings.ToLower(enumText(*f.target)) }
func (f enumFlag[E]) Type() string   { return "name" }

// enumsFlag is a list of values of an enum, repeated or separated by commas.
type enumsFlag[E enumeration] struct{ target *[]E }

func (f enumsFlag[E]) Set(text string) error {
	for part := range strings.SplitSeq(text, ",") {
		value, err := parseEnum[E](part)
		if err != nil {
			return err
		}
		*f.target = append(*f.target, value)
	}
	return nil
}
func (f enumsFlag[E]) String() string { return enumList(*f.target) }
func (f enumsFlag[E]) Type() string   { return "names" }

// addEnum adds a flag for one value, with completion.
func addEnum[E enumeration](cmd *cobra.Command, target *E, name, usage string) {
	cmd.Flags().Var(enumFlag[E]{target}, name, usage+": "+strings.Join(enumNames[E](), ", "))
	complete(cmd, name, enumNames[E]()...)
}

// addEnums adds a flag for several values, with completion.
func addEnums[E enumeration](cmd *cobra.Command, target *[]E, name, usage string) {
	cmd.Flags().Var(enumsFlag[E]{target}, name, usage+", repeated or separated by commas: "+strings.Join(enumNames[E](), ", "))
	complete(cmd, name, enumNames[E]()...)
}

// complete offers words for a flag.
func complete(cmd *cobra.Command, flag string, words ...string) {
	mustComplete(cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)))
}

// mustComplete panics where a completion is registered for a flag that does not exist, or twice: a defect that the
// first run of any test meets.
func mustComplete(err error) {
	if err != nil {
		panic("heyan: " + err.Error())
	}
}

// timeFlag is a point in time.
type timeFlag struct {
	target **timestamppb.Timestamp
	now    func() time.Time
}

const timeForms = `a time such as 2026-11-22T08:00:00Z, "2026-11-22 16:00", 2026-11-22 (at +08:00) or now`

func (f timeFlag) Set(text string) error {
	at, err := parseTime(text, f.now)
	if err != nil {
		return err
	}
	*f.target = timestamppb.New(at)
	return nil
}
func (f timeFlag) String() string { return when(*f.target) }
func (f timeFlag) Type() string   { return "time" }

// parseTime reads RFC 3339, or a date with or without a time of day at +08:00, or "now".
func parseTime(text string, now func() time.Time) (time.Time, error) {
	if text == "now" {
		return now(), nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at, nil
	}
	for _, form := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if at, err := time.ParseInLocation(form, text, beijing); err == nil {
			return at, nil
		}
	}
	return time.Time{}, &badValue{timeForms}
}

func (a *app) addTime(cmd *cobra.Command, target **timestamppb.Timestamp, name, usage string) {
	cmd.Flags().Var(timeFlag{target, a.Now}, name, usage+`: 2026-11-22, "2026-11-22 16:00" (at +08:00), 2026-11-22T08:00:00Z or now`)
}

// optionalInt sets an optional member only where the flag is given.
type optionalInt struct{ target **int64 }

func (f optionalInt) Set(text string) error {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 {
		return &badValue{"a number from 0 on"}
	}
	*f.target = &n
	return nil
}
func (f optionalInt) String() string {
	if *f.target == nil {
		return ""
	}
	return strconv.FormatInt(**f.target, 10)
}
func (f optionalInt) Type() string { return "int" }

// bytesFlag is bytes in hexadecimal or base64 of an exact length.
type bytesFlag struct {
	target *[]byte
	size   int
}

func (f bytesFlag) Set(text string) (err error) {
	*f.target, err = parseBytes(text, f.size)
	return err
}
func (f bytesFlag) String() string { return hex.EncodeToString(*f.target) }
func (f bytesFlag) Type() string   { return "hex" }

func parseBytes(text string, size int) ([]byte, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), "sha256:")
	if raw, err := hex.DecodeString(text); err == nil && len(raw) == size {
		return raw, nil
	}
	if raw, err := base64.StdEncoding.DecodeString(text); err == nil && len(raw) == size {
		return raw, nil
	}
	return nil, &badValue{strconv.Itoa(size) + " bytes in hexadecimal or base64"}
}

// certificateDigest is the SHA-256 of the first certificate of a PEM file.
func certificateDigest(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New(path + ": does not begin with a PEM certificate")
	}
	sum := sha256.Sum256(block.Bytes)
	return sum[:], nil
}

// fileDigest is the SHA-256 of a file's bytes.
func fileDigest(path string) ([]byte, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(raw)
	return sum[:], nil
}

// wordFlag is one of a list of words, typed in any case; what it was before where it is not given.
type wordFlag struct {
	target *string
	words  []string
}

func (f wordFlag) Set(text string) error {
	text = strings.ReplaceAll(text, "-", "_")
	at := slices.IndexFunc(f.words, func(word string) bool { return strings.EqualFold(word, text) })
	if at < 0 {
		return &badValue{"one of " + strings.Join(f.words, ", ")}
	}
	*f.target = f.words[at]
	return nil
}
func (f wordFlag) String() string { return *f.target }
func (f wordFlag) Type() string   { return "word" }

// addWord adds a flag for one of a list of words, with completion.
func addWord(cmd *cobra.Command, target *string, name, usage string, words ...string) {
	cmd.Flags().Var(wordFlag{target, words}, name, usage+": "+strings.Join(words, ", "))
	complete(cmd, name, words...)
}

// prefixesFlag is a list of address prefixes. A single address is the prefix that holds it alone.
type prefixesFlag struct{ target *[]string }

func (f prefixesFlag) Set(text string) error {
	if text == "" {
		*f.target = nil
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		if address, err := netip.ParseAddr(part); err == nil && address.Zone() == "" {
			part = netip.PrefixFrom(address, address.BitLen()).String()
		} else if _, err := netip.ParsePrefix(part); err != nil {
			return &badValue{"addresses or prefixes, e.g. 203.0.113.7 or 203.0.113.0/24"}
		}
		*f.target = append(*f.target, part)
	}
	return nil
}
func (f prefixesFlag) String() string { return strings.Join(*f.target, ",") }
func (f prefixesFlag) Type() string   { return "prefixes" }

// addYes accepts --yes where nothing is asked: a script that says it for every act is not refused.
func addYes(cmd *cobra.Command) { cmd.Flags().Bool("yes", false, "do not ask; this never asks") }

// required marks flags without which the command makes no sense.
func required(cmd *cobra.Command, names ...string) {
	for _, name := range names {
		mustComplete(cmd.MarkFlagRequired(name))
	}
}
