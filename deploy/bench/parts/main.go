// Command parts measures what can be measured without a server: the network log against the bare group commit of the
// same bytes, and the loop of HMACs that an import cannot do without. It prints JSON.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
)

func main() {
	dir := flag.String("dir", "", "log: an empty directory")
	seconds := flag.Float64("seconds", 1, "log: of one run")
	rounds := flag.Int("rounds", 3, "log: how often each is run")
	file := flag.String("people", "", "hmac: CSV of people")
	limit := flag.Int("limit", 200_000, "hmac: at most this many rows")
	flag.Parse()
	var result any
	var err error
	switch flag.Arg(0) {
	case "record":
		var body []byte
		body, err = leaf()
		result = len(body)
	case "log":
		result, err = compareLogs(*dir, *seconds, *rounds)
	case "hmac":
		result, err = hashRows(*file, *limit)
	default:
		log.Fatal("parts: record, log or hmac")
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(result)
	}
	if err != nil {
		log.Fatal(err)
	}
}
