package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestRejectsAreInOrder: what is rejected here and what the server names stand in one list, by row.
func TestRejectsAreInOrder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rejects.csv")
	r, err := newRejects(path)
	if err != nil {
		t.Fatal(err)
	}
	r.add(2, "a.csv", 2, "id_number", "CHECK_DIGIT")
	r.add(2, "a.csv", 2, "name", "EMPTY")
	r.add(11, "b,c.csv", 1, "", "CELLS")
	for _, row := range []uint64{1, 5, 12} {
		r.addLate(row, "a.csv", row, "phone_number", "SUPPRESSED")
	}
	if err := r.close(); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := "file,row,field,reason\na.csv,1,phone_number,SUPPRESSED\na.csv,2,id_number,CHECK_DIGIT\na.csv,2,name,EMPTY\n" +
		"a.csv,5,phone_number,SUPPRESSED\n\"b,c.csv\",1,,CELLS\na.csv,12,phone_number,SUPPRESSED\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
	if r.reasons["phone_number SUPPRESSED"] != 3 || r.reasons["CELLS"] != 1 {
		t.Errorf("counted %v", r.reasons)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
		t.Errorf("left %v", left)
	}
}
