package field_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/heyan-project/heyan/verifier/fault"
	"github.com/heyan-project/heyan/verifier/field"
)

func ExampleRules_Parse() {
	var rules *field.Rules // the built-in rules
	now := time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)

	phone, err := rules.Parse(field.PhoneNumber, "+86 138-0013-8000", now)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(phone.Kind(), phone.Form(), phone.Canonical())

	_, err = rules.Parse(field.BankCardNumber, "6222 **** **** 1234", now)
	var refusal *fault.Fault
	if errors.As(err, &refusal) {
		fmt.Println(refusal)
		fmt.Println(refusal.Hint)
	}
	// Output:
	// phone_number 1 [redacted]
	// FIELD_MALFORMED: fields.bank_card_number CHARSET
	// Give the 12 to 19 digits on the card, unmasked; spaces and hyphens may stand between them.
}
