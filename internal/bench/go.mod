// Benchmarks of ssetest side by side with others, in a module of its own, so that nobody who imports ssetest downloads any of it.
module github.com/go-ssetest/sse/internal/bench

go 1.26.0

replace github.com/go-ssetest/sse => ../..

require (
	github.com/alexandrevicenzi/go-sse v1.6.0
	github.com/anthropics/anthropic-sdk-go v1.84.0
	github.com/donovanhide/eventsource v0.0.0-20210830082556-c59027999da0
	github.com/gin-contrib/sse v1.1.0
	github.com/go-ssetest/sse v0.0.0-00010101000000-000000000000
	github.com/launchdarkly/eventsource v1.11.0
	github.com/launchdarkly/go-test-helpers/v3 v3.1.0
	github.com/openai/openai-go/v3 v3.96.0
	github.com/r3labs/sse/v2 v2.10.0
	github.com/stretchr/testify v1.12.1
	github.com/tmaxmax/go-sse v0.12.0
	golang.org/x/net v0.62.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/tidwall/gjson v1.20.0 // indirect
	github.com/tidwall/match v1.1.1 // indirect
	github.com/tidwall/pretty v1.2.1 // indirect
	github.com/tidwall/sjson v1.2.5 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/text v0.43.0 // indirect
	gopkg.in/cenkalti/backoff.v1 v1.1.0 // indirect
)
