package cli

import (
	"flag"
	"fmt"
	"io"
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/go-ssetest/sse/ssetest"
)

// options are what the flags, and their variables, say.
type options struct {
	address     string // what -addr has been given
	addr        string // the host and the port that it comes to
	plain       bool
	certOut     string
	cert, key   string
	seed        uint64
	interval    time.Duration
	retry       time.Duration
	history     int
	maxStreams  int
	origins     list
	scripts     list
	chaos       chaosValue
	compress    bool
	behindProxy bool
	log         string
	version     bool
	probe       bool
}

// A list is a flag that may be repeated.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(value string) error {
	*l = append(*l, value)
	return nil
}

// define has the flags set the options.
func (o *options) define(flags *flag.FlagSet) {
	flags.StringVar(&o.address, "addr", "", "listen at this `host:port`; without a host at 127.0.0.1, without a port at PORT of the environment, or else at 4043")
	flags.BoolVar(&o.plain, "http", false, "serve without TLS: HTTP/1.1, and HTTP/2 with prior knowledge")
	flags.StringVar(&o.certOut, "cert-out", "", "write the server's certificate to this `file`, for curl --cacert and for browsers")
	flags.StringVar(&o.cert, "cert", "", "show the certificate in this PEM `file`, in place of one that is made; it needs -key")
	flags.StringVar(&o.key, "key", "", "the key of -cert, in this PEM `file`")
	flags.Uint64Var(&o.seed, "seed", 0, "make letters and IDs from this `number`")
	flags.DurationVar(&o.interval, "interval", 5*time.Second, "let this `time` go by between two letters")
	flags.DurationVar(&o.retry, "retry", 6*time.Second, "have letters and posts announce this reconnection `time`; 0: none")
	flags.IntVar(&o.history, "history", 1024, "keep this `number` of posts for clients that come back with Last-Event-ID; 0: none")
	flags.IntVar(&o.maxStreams, "max-streams", 1000, "let this `number` of streams be open on one HTTP/2 connection; 0: no limit")
	flags.Var(&o.origins, "origin", "let pages of this `origin` read what is served, such as http://localhost:5173, or * for any; may be repeated")
	flags.Var(&o.scripts, "script", "answer requests with the event stream in a file, by `PATTERN=FILE` as in 'GET /feed=feed.sse'; may be repeated")
	flags.Var(&o.chaos, "chaos", "do these `faults` to events, each as probable as it says: abort=0.1,reset=0.1,split=0.5,duplicate=0.1,delay=200ms,seed=7, or some of them")
	flags.BoolVar(&o.compress, "compress", false, "compress event streams with gzip, for clients that accept it")
	flags.BoolVar(&o.behindProxy, "behind-proxy", false, "believe X-Forwarded-Proto, -Host and -Port, and send clients that came over http to https")
	flags.StringVar(&o.log, "log", "", "log requests to standard error, in this `format`: text or json")
	flags.BoolVar(&o.version, "version", false, "say which version this is")
	flags.BoolVar(&o.probe, "probe", false, "ask the server that runs at -addr whether it is well: exit code 0 if it is")
}

// parse reads the arguments, and from the environment what they do not say.
func parse(args []string, env func(string) string) (*options, error) {
	var o options
	flags := newFlagSet(&o)
	if err := flags.Parse(args); err == flag.ErrHelp {
		return nil, err
	} else if err != nil {
		return nil, mistakef("%v; %s", err, hint(flags, err))
	}
	if flags.NArg() > 0 {
		return nil, mistakef("%q is no flag; there are no arguments but flags, which -help lists", flags.Arg(0))
	}
	if err := fromEnvironment(flags, env); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	var err error
	o.addr, err = listenAddress(o.address, env("PORT"))
	return &o, err
}

func newFlagSet(o *options) *flag.FlagSet {
	flags := flag.NewFlagSet("ssetest", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake is one line, which Run writes
	flags.Usage = func() {}
	o.define(flags)
	return flags
}

// flagName finds the flag that an error of package flag is about.
var flagName = regexp.MustCompile(`for (?:flag )?-([a-z-]+):`)

// hint says what to do about an error of package flag.
func hint(flags *flag.FlagSet, err error) string {
	if match := flagName.FindStringSubmatch(err.Error()); match != nil {
		if f := flags.Lookup(match[1]); f != nil {
			return form("-"+f.Name, f)
		}
	}
	return "-help lists the flags"
}

// form says how a flag is written, by that or by its variable's name, where its default shows that.
func form(name string, f *flag.Flag) string {
	switch f.DefValue {
	case "":
		return "-help tells of -" + f.Name
	case "false":
		return fmt.Sprintf("it is written as in %s=true", name)
	default:
		return fmt.Sprintf("it is written as in %s=%s", name, f.DefValue)
	}
}

// variable is a flag's name in the environment.
func variable(name string) string {
	return "SSETEST_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// fromEnvironment sets the flags that the command line does not have.
func fromEnvironment(flags *flag.FlagSet, env func(string) string) error {
	given := make(map[string]bool)
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var failed error
	flags.VisitAll(func(f *flag.Flag) {
		value := env(variable(f.Name))
		if value == "" || given[f.Name] || failed != nil {
			return
		}
		values := []string{value}
		if _, ok := f.Value.(*list); ok {
			values = strings.Split(value, ",")
		}
		for _, v := range values {
			if err := f.Value.Set(strings.TrimSpace(v)); err != nil {
				failed = mistakef("invalid value %q for %s of the environment: %v; %s", v, variable(f.Name), err, form(variable(f.Name), f))
				return
			}
		}
	})
	return failed
}

// check says what is wrong with options by themselves, or together.
func (o *options) check() error {
	switch {
	case o.interval <= 0:
		return mistakef("-interval, or SSETEST_INTERVAL, is %v; it must be more than nothing, as in -interval 1s", o.interval)
	case o.retry < 0 || o.retry%time.Millisecond != 0:
		return mistakef("-retry, or SSETEST_RETRY, is %v; it must be whole milliseconds, as in -retry 1500ms, or 0 for none", o.retry)
	case o.history < 0:
		return mistakef("-history, or SSETEST_HISTORY, is %d; it must be a number of events, or 0 for none", o.history)
	case o.maxStreams < 0 || o.maxStreams > math.MaxInt32:
		return mistakef("-max-streams, or SSETEST_MAX_STREAMS, is %d; it must be a number of streams up to %d, or 0 for no limit", o.maxStreams, math.MaxInt32)
	case o.log != "" && o.log != "text" && o.log != "json":
		return mistakef("-log, or SSETEST_LOG, is %q; it must be text or json", o.log)
	case (o.cert == "") != (o.key == ""):
		return mistakef("-cert and -key belong together: a certificate, and its key")
	case o.plain && o.cert != "":
		return mistakef("-http and -cert exclude each other: without TLS there is no certificate")
	case o.plain && o.certOut != "":
		return mistakef("-http and -cert-out exclude each other: without TLS there is no certificate")
	default:
		return nil
	}
}

// config is that of the server.
func (o *options) config() *ssetest.Config {
	none := func(n int) int {
		if n == 0 {
			return -1
		}
		return n
	}
	c := &ssetest.Config{
		Addr:                 o.addr,
		Network:              ssetest.Loopback,
		Seed:                 o.seed,
		LetterInterval:       o.interval,
		Retry:                o.retry,
		History:              none(o.history),
		MaxConcurrentStreams: none(o.maxStreams),
		AllowedOrigins:       o.origins,
		Compress:             o.compress,
		Farewell:             "the server has been stopped",
	}
	if o.retry == 0 {
		c.Retry = -1
	}
	if o.plain {
		c.Protocol = ssetest.H2C
	}
	return c
}

const usageHead = `ssetest serves Server-Sent Events to try clients on: letters at /sse, what is posted at /post, and a page that shows both at /.

    ssetest -cert-out cert.pem
    curl -N --cacert cert.pem https://localhost:4043/sse
    curl --cacert cert.pem -H 'Content-Type: application/json' -d '{"hello": "world"}' https://localhost:4043/post

It serves until it gets SIGINT (Ctrl-C) or SIGTERM. Beside the streams there are /healthz, and /transcript?path=/post, which is what was sent there, in a form that -script serves again.

Each flag can be a variable of the environment as well: -max-streams is SSETEST_MAX_STREAMS. One that may be repeated has its values there with commas between them.

Flags:
`

// printUsage writes what -help shows.
func printUsage(out io.Writer) error {
	var b strings.Builder
	b.WriteString(usageHead)
	newFlagSet(new(options)).VisitAll(func(f *flag.Flag) {
		placeholder, usage := flag.UnquoteUsage(f)
		fmt.Fprintf(&b, "  -%s\n", strings.TrimSpace(f.Name+" "+placeholder))
		fmt.Fprintf(&b, "        %s", usage)
		if f.DefValue != "" && f.DefValue != "false" {
			fmt.Fprintf(&b, " (default %s)", f.DefValue)
		}
		b.WriteByte('\n')
	})
	_, err := io.WriteString(out, b.String())
	return err
}
