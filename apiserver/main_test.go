package apiserver

import (
	"flag"
	"os"
	"testing"
)

// TestMain runs more tests at once than there are processors: many wait most of their time, for a timeout or for another one's
// part, and use no processor meanwhile.
func TestMain(m *testing.M) {
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		if err := parallel.Value.Set("16"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
