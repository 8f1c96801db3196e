package stats

import (
	"bytes"
	"testing"
)

// BenchmarkParseLog reads 64 KiB of a Scrapy log, which every sample of a running spider costs.
func BenchmarkParseLog(b *testing.B) {
	log := realLogs(b)["finished-debug"]
	log = append(bytes.Repeat(log, MaxLog/len(log)), log...)
	b.SetBytes(MaxLog)
	b.ReportAllocs()
	for b.Loop() {
		ParseLog(log)
	}
}
