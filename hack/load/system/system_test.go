package system

import (
	"context"
	"errors"
	"testing"
)

func TestSeriesOfAMetric(t *testing.T) {
	const text = `# TYPE apiserver_request_total counter
apiserver_request_total{verb="POST",resource="jobs"} 3
apiserver_request_total{verb="GET",resource="jobs"} 9
# TYPE other gauge
other 1.5e+07
`
	all, err := parseSeries([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	all.each("apiserver_request_total", func(labels map[string]string, value float64) {
		got[labels["verb"]+" "+labels["resource"]] = value
	})
	if len(got) != 2 || got["POST jobs"] != 3 || got["GET jobs"] != 9 {
		t.Errorf("the series are %v", got)
	}
	if sum := all.sum("apiserver_request_total"); sum != 12 {
		t.Errorf("the sum is %g, want 12", sum)
	}
	if value := all.sum("other"); value != 1.5e7 {
		t.Errorf("the gauge is %g, want 1.5e7", value)
	}
	if _, err := parseSeries([]byte("a b\n")); err == nil {
		t.Error("no error for a value that is not a number")
	}
}

func TestEachStopsAtTheFirstError(t *testing.T) {
	broken := errors.New("broken")
	err := Each(t.Context(), "calls", 1_000_000, func(_ context.Context, i int) error {
		if i == 10 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v, want %v", err, broken)
	}
}

func TestArgumentsHaveTheirSize(t *testing.T) {
	size := 0
	for name, value := range Arguments() {
		size += len(name) + len(value)
	}
	if size != ArgumentBytes {
		t.Errorf("%d bytes, want %d", size, ArgumentBytes)
	}
}
