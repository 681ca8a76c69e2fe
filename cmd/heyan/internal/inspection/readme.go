package inspection

import (
	_ "embed" // the text
	"strings"
)

//go:embed readme.txt
var readme string

// Readme says what a bundle is and how to verify it.
func Readme(f *Facts) string {
	return strings.NewReplacer("{fingerprint}", f.Fingerprint, "{origin}", f.Origin, "{made}", clock(f.Made)+" +08:00").Replace(readme)
}
