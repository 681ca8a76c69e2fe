package record

// Category is the coarse class of an event. Zero is invalid; numbers are those of heyan.log.v1.Category.
type Category uint8

// The categories.
const (
	CategoryAccess Category = iota + 1
	CategoryAuthentication
	CategoryAdmin
	CategoryConfig
	CategorySecurity
	CategoryLogAccess
	CategoryDataLifecycle
	CategoryOutbound
	CategorySystem
)

var categoryNames = [...]string{"", "ACCESS", "AUTHENTICATION", "ADMIN", "CONFIG", "SECURITY", "LOG_ACCESS",
	"DATA_LIFECYCLE", "OUTBOUND", "SYSTEM"}

// String returns the name, such as "LOG_ACCESS".
func (c Category) String() string { return nameOf(categoryNames[:], int(c)) }

// ParseCategory returns the category of that name.
func ParseCategory(name string) (Category, bool) {
	n, ok := numberOf(categoryNames[:], name)
	return Category(n), ok
}

// Severity orders events by how soon a person should look. Zero is invalid.
type Severity uint8

// The severities.
const (
	Info Severity = iota + 1
	Notice
	Warning
	Error
	Critical
)

var severityNames = [...]string{"", "INFO", "NOTICE", "WARNING", "ERROR", "CRITICAL"}

// String returns the name, such as "WARNING".
func (s Severity) String() string { return nameOf(severityNames[:], int(s)) }

// ParseSeverity returns the severity of that name.
func ParseSeverity(name string) (Severity, bool) {
	n, ok := numberOf(severityNames[:], name)
	return Severity(n), ok
}

// ActorKind says what sort of party acted. Zero: absent.
type ActorKind uint8

// The kinds of actor.
const (
	ActorStranger ActorKind = iota + 1
	ActorClient
	ActorOperator
	ActorMachine
	ActorSystem
	ActorNode
)

var actorNames = [...]string{"", "STRANGER", "CLIENT", "OPERATOR", "MACHINE", "SYSTEM", "NODE"}

// String returns the name, such as "CLIENT".
func (k ActorKind) String() string { return nameOf(actorNames[:], int(k)) }

// ParseActorKind returns the kind of that name.
func ParseActorKind(name string) (ActorKind, bool) {
	n, ok := numberOf(actorNames[:], name)
	return ActorKind(n), ok
}

// OutcomeKind says how an event ended. Zero is invalid.
type OutcomeKind uint8

// The outcomes.
const (
	Success OutcomeKind = iota + 1
	Denied
	Failed
	Cancelled
)

var outcomeNames = [...]string{"", "SUCCESS", "DENIED", "FAILED", "CANCELLED"}

// String returns the name, such as "DENIED".
func (k OutcomeKind) String() string { return nameOf(outcomeNames[:], int(k)) }

// ParseOutcomeKind returns the outcome of that name.
func ParseOutcomeKind(name string) (OutcomeKind, bool) {
	n, ok := numberOf(outcomeNames[:], name)
	return OutcomeKind(n), ok
}

// ClockState says whether the clock was synchronised. Zero: absent.
type ClockState uint8

// The states of a clock.
const (
	ClockUnknown ClockState = iota + 1
	ClockSynchronised
	ClockUnsynchronised
)

var clockNames = [...]string{"", "UNKNOWN", "SYNCHRONISED", "UNSYNCHRONISED"}

// String returns the name, such as "SYNCHRONISED".
func (s ClockState) String() string { return nameOf(clockNames[:], int(s)) }

func nameOf(names []string, n int) string {
	if n <= 0 || n >= len(names) {
		return "UNSPECIFIED"
	}
	return names[n]
}

func numberOf(names []string, name string) (int, bool) {
	for n := 1; n < len(names); n++ {
		if names[n] == name {
			return n, true
		}
	}
	return 0, false
}
