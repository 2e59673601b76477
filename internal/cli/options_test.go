package cli

import (
	"flag"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-ssetest/sse/ssetest"
)

// TestEveryFlagHasAVariable gives each flag a value by the command line, and by the environment: the options are the same.
func TestEveryFlagHasAVariable(t *testing.T) {
	values := map[string][]string{ // of one that may be repeated, several
		"addr": {"localhost:4000"}, "http": {"true"}, "cert-out": {"out.pem"}, "cert": {"cert.pem"}, "key": {"key.pem"},
		"seed": {"42"}, "interval": {"1m"}, "retry": {"1500ms"}, "history": {"7"}, "max-streams": {"50"},
		"origin": {"http://localhost:5173", "https://app.example"}, "script": {"GET /a=a.sse", "GET /b=b.sse"},
		"chaos": {"abort=0.1,reset=0.2,split=0.3,duplicate=0.4,delay=1s,seed=5"}, "compress": {"true"}, "behind-proxy": {"true"},
		"log": {"json"}, "version": {"true"}, "probe": {"true"},
	}
	together := map[string][2]string{"cert": {"key", "key.pem"}, "key": {"cert", "cert.pem"}} // what is nothing by itself
	newFlagSet(new(options)).VisitAll(func(f *flag.Flag) {
		t.Run(f.Name, func(t *testing.T) {
			given := values[f.Name]
			require.NotEmpty(t, given, "a flag without a test")
			var args []string
			env := make(map[string]string)
			for i, v := range given {
				args = append(args, "-"+f.Name+"="+v)
				if i > 0 {
					env[variable(f.Name)] += ","
				}
				env[variable(f.Name)] += v
			}
			if other, ok := together[f.Name]; ok {
				args = append(args, "-"+other[0]+"="+other[1])
				env[variable(other[0])] = other[1]
			}
			byFlag, err := parse(args, func(string) string { return "" })
			require.NoError(t, err)
			byVariable, err := parse(nil, func(name string) string { return env[name] })
			require.NoError(t, err)
			assert.Equal(t, byFlag, byVariable)
			neither, err := parse(nil, func(string) string { return "" })
			require.NoError(t, err)
			assert.NotEqual(t, neither, byFlag, "the flag does something")
			both, err := parse(args, func(string) string { return "what nobody reads" })
			if err == nil {
				assert.Equal(t, byFlag, both)
			}
		})
	})
}

// TestFlagsComeBeforeVariables where both are given.
func TestFlagsComeBeforeVariables(t *testing.T) {
	env := map[string]string{"SSETEST_SEED": "1", "SSETEST_ORIGIN": "https://a.example", "SSETEST_INTERVAL": "1m"}
	o, err := parse([]string{"-seed", "2", "-origin", "https://b.example"}, func(name string) string { return env[name] })
	require.NoError(t, err)
	assert.EqualValues(t, 2, o.seed)
	assert.Equal(t, list{"https://b.example"}, o.origins)
	assert.Equal(t, "1m0s", o.interval.String())
}

func TestListenAddress(t *testing.T) {
	for _, c := range []struct{ address, port, want string }{
		{"", "", "127.0.0.1:4043"},
		{"", "4000", "127.0.0.1:4000"},
		{"", "0", "127.0.0.1:0"},
		{":4001", "4000", "127.0.0.1:4001"},
		{"4001", "4000", "127.0.0.1:4001"},
		{"localhost", "", "localhost:4043"},
		{"localhost:", "4000", "localhost:4000"},
		{"0.0.0.0", "4000", "0.0.0.0:4000"},
		{"0.0.0.0:4001", "4000", "0.0.0.0:4001"},
		{"::1", "", "[::1]:4043"},
		{"[::1]", "", "[::1]:4043"},
		{"[::1]:4001", "", "[::1]:4001"},
		{"::", "4000", "[::]:4000"},
	} {
		got, err := listenAddress(c.address, c.port)
		require.NoError(t, err)
		assert.Equal(t, c.want, got, "-addr %q, PORT %q", c.address, c.port)
	}
	for addr, want := range map[string]string{
		"127.0.0.1:1": "127.0.0.1:1", "0.0.0.0:1": "127.0.0.1:1", "[::]:1": "[::1]:1", "localhost:1": "localhost:1", "192.0.2.1:1": "192.0.2.1:1",
	} {
		assert.Equal(t, want, local(addr))
	}
}

// TestConfig has each flag reach the field of the configuration that it is for.
func TestConfig(t *testing.T) {
	none := func(string) string { return "" }
	o, err := parse([]string{
		"-addr", "localhost:4000", "-seed", "42", "-interval", "1m", "-retry", "1500ms", "-history", "7", "-max-streams", "50", "-origin", "https://app.example", "-compress",
	}, none)
	require.NoError(t, err)
	assert.Equal(t, &ssetest.Config{
		Addr: "localhost:4000", Network: ssetest.Loopback, Seed: 42, LetterInterval: time.Minute, Retry: 1500 * time.Millisecond, History: 7, MaxConcurrentStreams: 50,
		AllowedOrigins: []string{"https://app.example"}, Compress: true, Farewell: "the server has been stopped",
	}, o.config())

	o, err = parse([]string{"-http", "-retry", "0", "-history", "0", "-max-streams", "0"}, none)
	require.NoError(t, err)
	assert.Equal(t, &ssetest.Config{
		Addr: "127.0.0.1:4043", Network: ssetest.Loopback, Protocol: ssetest.H2C, LetterInterval: 5 * time.Second, Retry: -1, History: -1, MaxConcurrentStreams: -1,
		Farewell: "the server has been stopped",
	}, o.config())
}

func TestChaosText(t *testing.T) {
	for text, want := range map[string]ssetest.Chaos{
		"abort=0.1":               {Abort: 0.1},
		"reset=0.2":               {Reset: 0.2},
		"split=0.3":               {Split: 0.3},
		"duplicate=1":             {Duplicate: 1},
		"delay=1.5s":              {Delay: 1500 * time.Millisecond},
		"seed=7":                  {Seed: 7},
		"abort=0.1, split=0.5 ":   {Abort: 0.1, Split: 0.5},
		"abort=0.5,reset=0.5":     {Abort: 0.5, Reset: 0.5},
		"abort=1,abort=0,split=0": {},
	} {
		var v chaosValue
		require.NoError(t, v.Set(text))
		assert.Equal(t, want, v.chaos, text)
	}
}

// TestListsInVariables have blanks around their commas, or not.
func TestListsInVariables(t *testing.T) {
	env := map[string]string{"SSETEST_ORIGIN": "https://a.example, https://b.example,https://c.example"}
	o, err := parse(nil, func(name string) string { return env[name] })
	require.NoError(t, err)
	assert.Equal(t, list{"https://a.example", "https://b.example", "https://c.example"}, o.origins)
}
