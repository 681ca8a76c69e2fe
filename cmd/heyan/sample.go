package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"google.golang.org/protobuf/encoding/protojson"

	heyanv1 "github.com/heyan-project/heyan/proto/heyan/v1"
	"github.com/heyan-project/heyan/verifier/field"
)

// sampleName is the file of invented people beside the profiles of a development server.
const sampleName = "sample.json"

// sampleFile is invented people that the development server's dataset knows, and the notice and purpose to use.
type sampleFile struct {
	People  []samplePerson `json:"people"`
	Notice  string         `json:"notice"`
	Purpose string         `json:"purpose,omitempty"`
}

// samplePerson is values of one row of the dataset: together they match.
type samplePerson struct {
	Fields    *heyanv1.Fields
	PlateKind string
}

// UnmarshalJSON implements [json.Unmarshaler]: field names and plate_kind in one object.
func (p *samplePerson) UnmarshalJSON(raw []byte) error {
	var kind struct {
		PlateKind string `json:"plate_kind"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return errSample
	}
	p.PlateKind, p.Fields = kind.PlateKind, &heyanv1.Fields{}
	if (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(raw, p.Fields) != nil {
		return errSample
	}
	return nil
}

var errSample = errors.New("not a file of sample people")

// readSample reads a file of sample people. No error of it holds what stands in the file.
func readSample(path string) (*sampleFile, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var sample sampleFile
	if json.Unmarshal(raw, &sample) != nil {
		return nil, errors.New(path + ": " + errSample.Error())
	}
	return &sample, nil
}

// profileSample reads the sample beside the profile in use.
func (a *app) profileSample() (*sampleFile, error) {
	_, dir, err := a.resolve()
	if err != nil {
		return nil, err
	}
	sample, err := readSample(filepath.Join(dir, sampleName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usageError("no sample people beside the profile", "heyan serve --dev makes some, with a profile for them")
	}
	return sample, err
}

// matching returns the fields of each person who has all that a product asks, those fields and no other.
func (s *sampleFile) matching(product *heyanv1.Product) []samplePerson {
	var found []samplePerson
	for _, person := range s.People {
		exact := samplePerson{Fields: &heyanv1.Fields{}}
		complete := true
		for _, number := range product.GetFields() {
			kind := field.Kind(number)
			if !kind.Valid() {
				complete = false
				break
			}
			value := getField(person.Fields, kind)
			if value == nil || *value == "" {
				complete = false
				break
			}
			setField(exact.Fields, kind, *value)
			if kind == field.LicensePlateNumber {
				exact.PlateKind = person.PlateKind
			}
		}
		if complete {
			found = append(found, exact)
		}
	}
	return found
}
