// report ROUNDS <text: words, lines and a chained SHA-256 of a text, as one line of JSON. README.md says it exactly.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sort"
	"strconv"
)

const topMax = 5

type word struct {
	Word  string `json:"word"`
	Count uint64 `json:"count"`
}

type report struct {
	Bytes      int         `json:"bytes"`
	Lines      int         `json:"lines"`
	Words      uint64      `json:"words"`
	Distinct   int         `json:"distinct"`
	MeanLength json.Number `json:"mean_length"`
	SHA256     string      `json:"sha256"`
	Top        []word      `json:"top"`
}

func isLetter(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func main() {
	rounds := 0
	if len(os.Args) == 2 {
		rounds, _ = strconv.Atoi(os.Args[1])
	}
	if rounds < 1 {
		fmt.Fprintln(os.Stderr, "usage: report ROUNDS <text")
		os.Exit(2)
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(3)
	}
	fmt.Fprintf(os.Stderr, "report: %d bytes\n", len(text))

	digest := ""
	for range rounds {
		sum := sha256.New()
		io.WriteString(sum, digest)
		sum.Write(text)
		digest = hex.EncodeToString(sum.Sum(nil))
	}

	counts := map[string]uint64{}
	out := report{Bytes: len(text), Lines: bytes.Count(text, []byte{'\n'}), SHA256: digest, Top: []word{}}
	letters := 0
	for _, field := range bytes.FieldsFunc(text, func(c rune) bool { return !isLetter(c) }) {
		out.Words++
		letters += len(field)
		counts[string(bytes.ToLower(field))]++
	}
	out.Distinct = len(counts)
	for text, count := range counts {
		out.Top = append(out.Top, word{text, count})
	}
	sort.Slice(out.Top, func(a, b int) bool {
		if out.Top[a].Count != out.Top[b].Count {
			return out.Top[a].Count > out.Top[b].Count
		}
		return out.Top[a].Word < out.Top[b].Word
	})
	out.Top = out.Top[:min(len(out.Top), topMax)]
	mean := 0.0
	if out.Words > 0 {
		mean = float64(letters) / float64(out.Words)
	}
	out.MeanLength = json.Number(strconv.FormatFloat(mean, 'f', 3, 64))
	line, _ := json.Marshal(out)
	fmt.Println(string(line))
}
