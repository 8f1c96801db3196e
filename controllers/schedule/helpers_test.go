package schedule

import (
	"fmt"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"github.com/scrapethis/spider-operator/internal/cron"
)

func apiEqual(a, b any) bool { return equality.Semantic.DeepEqual(a, b) }

func uid(i int) types.UID { return types.UID(fmt.Sprint("s-", i)) }

func mustParse(t *testing.T, expression string) *cron.Schedule {
	t.Helper()
	s, err := cron.Parse(expression, "")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func count(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}
