package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const printed = `goos: linux
BenchmarkBurst/subscribers=1/contender=hand-2     	 100	  1000 ns/op	  12 B/op
BenchmarkBurst/subscribers=1/contender=go-lib-2   	 100	   900 ns/op
BenchmarkBurst/subscribers=1/contender=ssetest-2  	 100	   110 ns/op
BenchmarkBurst/subscribers=1/contender=ssetest-memory	 100	   100 ns/op
BenchmarkBurst/subscribers=1/contender=hand-2     	 100	  3000 ns/op	  12 B/op
BenchmarkBurst/subscribers=1/contender=hand-2     	 100	  2000 ns/op	  12 B/op
BenchmarkMemory/contender=hand-2                  	   1	     0 ns/op	 1000 B/stream
BenchmarkMemory/contender=ssetest-2               	   1	     0 ns/op	  750 B/stream
BenchmarkDay/contender=limit-2                    	   1	   100 ns/op
BenchmarkDay/contender=ssetest-2                  	   1	   250 ns/op
BenchmarkScale/network=Loopback/streams=1-2       	   1	     0 ns/op	 0.5 open-ms
BenchmarkScale/network=Loopback/streams=1000-2    	   1	     0 ns/op	 123.4 open-ms
BenchmarkScale/network=Loopback/streams=10-2      	   1	     0 ns/op	 -1 open-ms
PASS
`

func TestReport(t *testing.T) {
	var b strings.Builder
	plot := filepath.Join(t.TempDir(), "scale.svg")
	require.NoError(t, run(strings.NewReader(printed), &b, plot))
	assert.Equal(t, `| | hand | limit | ssetest | ssetest-memory | go-lib | ssetest of limit |
|---|---|---|---|---|---|---|
| Burst/subscribers=1 | 1.00 | | 0.06 | 0.05 | 0.45 | |
| Memory | 1.00 | | 0.75 | | | |
| Day | | 1.00 | 2.50 | | | 2.50 |

| | contender | |
|---|---|---|
| Memory | hand | 1000 B/stream |
| Memory | ssetest | 750 B/stream |

| | open-ms |
|---|---|
| Scale/network=Loopback/streams=1 | 0.50 |
| Scale/network=Loopback/streams=1000 | 123 |
| Scale/network=Loopback/streams=10 | -1.00 |

`, b.String())
	drawn, err := os.ReadFile(plot)
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(drawn, new(struct{})))
	// From the left border to three fifths of the width, which is five powers of ten; between 0.1, at 220, and 1,000, at 34.
	assert.Contains(t, string(drawn), `<path d="M62.0 187.5L210.8 76.3" fill="none" stroke="#1f6feb"`)
}

func TestReportRefusesWhatIsNoNumber(t *testing.T) {
	err := run(strings.NewReader("BenchmarkX-2 1 many ns/op\n"), new(strings.Builder), "")
	assert.ErrorContains(t, err, "many")
}
