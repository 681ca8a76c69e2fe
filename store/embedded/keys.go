package embedded

import (
	"encoding/binary"
	"strings"

	"github.com/heyan-project/heyan/store"
	"github.com/heyan-project/heyan/verifier/digest"
	"github.com/heyan-project/heyan/verifier/ledger"
	"github.com/heyan-project/heyan/verifier/subject"
	"github.com/heyan-project/heyan/verifier/usage"
)

// Keys of rows. A key is a letter and then its parts: texts in an encoding that keeps their order and ends
// each of them, digests and ids as they are, numbers as 8 bytes big endian. ^id is an id with its bits turned
// round, so that the newest comes first.
//
// Every act that touches both databases has an operation number n, which never repeats. It is what joins a
// row of the business database to one of the subject database, in place of anything about the person.
//
//	business
//	V client ^id              a verification (ledger.AppendVerification)
//	Q client request          the verification that answered a request: id, n
//	L origin index id         what a verification added to totals, and its client and n; until the mark passes
//	N origin index id         the client of a verification that was settled there; until the mark passes
//	P client id               a pending verification: the counters that it holds
//	O n                       what another operation added to totals, or the consent that it created; until covered
//	K client ^id              a consent and the n of its creation
//	k client ^id revision     an older revision of it
//	U client day product test a row of usage
//	C key                     a counter: used, pending
//	D kind id                 a document: revision, value
//	M origin                  the mark
//	W                         how far totals and pairs of rows are covered: see recover.go
//
//	subject
//	S n                       what operation n left of a person: content digest, handles, evidence
//	H handle n                a link: the verification, the consent
//	E evidence                the consents and tombstones under an evidence
//	R handle kind             a restriction: until when
//	B                         nothing; written to wait for what was written before
//
//	registry
//	T dataset generation anchor sum   a deleted record, by the SHA-256 of its bytes: when
//	G dataset generation              T rows that are gone and not purged yet: how many to count, since when
const (
	rowVerification = 'V'
	rowRequest      = 'Q'
	rowLog          = 'L'
	rowSettled      = 'N'
	rowPending      = 'P'
	rowOperation    = 'O'
	rowConsent      = 'K'
	rowOldConsent   = 'k'
	rowUsage        = 'U'
	rowCounter      = 'C'
	rowDocument     = 'D'
	rowMark         = 'M'
	rowCovered      = 'W'

	rowSubject     = 'S'
	rowLink        = 'H'
	rowEvidence    = 'E'
	rowRestriction = 'R'
	rowBarrier     = 'B'

	rowTombstone = 'T'
	rowForgotten = 'G'
)

// appendText appends s so that encodings sort as the texts do and none is the beginning of another: a zero
// byte becomes 00 FF, and 00 01 ends the text.
func appendText(dst []byte, s string) []byte {
	for {
		at := strings.IndexByte(s, 0)
		if at < 0 {
			break
		}
		dst = append(append(dst, s[:at]...), 0, 0xff)
		s = s[at+1:]
	}
	return append(append(dst, s...), 0, 1)
}

// cutText reads what appendText wrote.
func cutText(b []byte) (s string, rest []byte, ok bool) {
	var text []byte
	for i := 0; i+1 < len(b); i++ {
		switch {
		case b[i] != 0:
			text = append(text, b[i])
		case b[i+1] == 0xff:
			text = append(text, 0)
			i++
		case b[i+1] == 1:
			return string(text), b[i+2:], true
		default:
			return "", nil, false
		}
	}
	return "", nil, false
}

func appendInverted(dst []byte, id ledger.ID) []byte {
	for _, b := range id {
		dst = append(dst, ^b)
	}
	return dst
}

// invertedID reads the last 16 bytes of a key.
func invertedID(key []byte) (id ledger.ID, ok bool) {
	if len(key) < len(id) {
		return id, false
	}
	for i, b := range key[len(key)-len(id):] {
		id[i] = ^b
	}
	return id, true
}

func clientKey(dst []byte, letter byte, client string) []byte {
	return appendText(append(dst, letter), client)
}

func verificationKey(dst []byte, client string, id ledger.ID) []byte {
	return appendInverted(clientKey(dst, rowVerification, client), id)
}

func requestRowKey(dst []byte, client string, request digest.Digest) []byte {
	return append(clientKey(dst, rowRequest, client), request[:]...)
}

// logKey begins the keys of what stands at a place of a log: rowLog or rowSettled.
func logKey(dst []byte, letter byte, origin string, index uint64) []byte {
	return binary.BigEndian.AppendUint64(clientKey(dst, letter, origin), index)
}

func positionKey(dst []byte, at ledger.Position, id ledger.ID) []byte {
	return append(logKey(dst, rowLog, at.Origin, at.Index), id[:]...)
}

func settledKey(dst []byte, at ledger.Position, id ledger.ID) []byte {
	return append(logKey(dst, rowSettled, at.Origin, at.Index), id[:]...)
}

func pendingKey(dst []byte, client string, id ledger.ID) []byte {
	return append(clientKey(dst, rowPending, client), id[:]...)
}

func operationKey(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, rowOperation), n)
}

func consentKey(dst []byte, client string, id ledger.ID) []byte {
	return appendInverted(clientKey(dst, rowConsent, client), id)
}

func oldConsentKey(dst []byte, client string, id ledger.ID, revision int64) []byte {
	return binary.BigEndian.AppendUint64(appendInverted(clientKey(dst, rowOldConsent, client), id), uint64(revision))
}

func usageKey(dst []byte, k *usage.Key) []byte {
	dst = appendText(clientKey(dst, rowUsage, k.Client), k.Day.String())
	dst = appendText(dst, string(k.Product))
	if k.Test {
		return append(dst, 1)
	}
	return append(dst, 0)
}

func counterKey(dst []byte, key string) []byte { return append(append(dst, rowCounter), key...) }

// documentPrefix ends with the kind, so that ids sort as bytes and a prefix of an id is a prefix of its key.
func documentPrefix(dst []byte, kind store.Kind) []byte {
	return clientKey(dst, rowDocument, string(kind))
}

func markKey(dst []byte, origin string) []byte { return append(append(dst, rowMark), origin...) }

func subjectKey(dst []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, rowSubject), n)
}

func linkKey(dst []byte, handle subject.Handle, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(append(dst, rowLink), handle[:]...), n)
}

func evidenceKey(dst []byte, evidence digest.Digest) []byte {
	return append(append(dst, rowEvidence), evidence[:]...)
}

func restrictionKey(dst []byte, handle subject.Handle, r store.Restriction) []byte {
	return append(append(append(dst, rowRestriction), handle[:]...), byte(r))
}

// generationRow is the key of a row of a generation, or the beginning of the keys of several.
func generationRow(dst []byte, letter byte, of generationKey) []byte {
	return binary.BigEndian.AppendUint64(clientKey(dst, letter, of.dataset), uint64(of.number))
}

func tombstoneKey(of generationKey, anchor digest.Digest, s sum) []byte {
	return append(append(generationRow(nil, rowTombstone, of), anchor[:]...), s[:]...)
}

// cutGeneration reads a key that generationRow began.
func cutGeneration(key []byte) (of generationKey, rest []byte, ok bool) {
	dataset, rest, ok := cutText(key[1:])
	if !ok || len(rest) < 8 {
		return of, nil, false
	}
	return generationKey{dataset, int64(binary.BigEndian.Uint64(rest))}, rest[8:], true
}

// after returns the smallest key greater than key.
func after(key []byte) []byte { return append(key, 0) }
