// Package ssetest tests code that reads or serves event streams (Server-Sent Events): SDKs of language models, agents,
// feeds, dashboards. As net/http has httptest, event streams have ssetest.
//
// It is a fake server in the process of the test, a client that parses streams as a browser does,
// and assertions on what arrives:
//
//	func TestPublish(t *testing.T) {
//		srv := ssetest.NewServer(t, nil)
//		stream := srv.Open(t, "/post", nil)
//		srv.Publish(ssetest.Data("hello"))
//		stream.ExpectData("hello")
//	}
//
// # Server
//
// [NewServer] starts a [Server] that the test's Cleanup closes; [Start] is for places without a test.
// It speaks HTTP/2 over TLS unless [Config] has another [Protocol], on a free port of the loopback interface.
// [Server.Client] trusts its certificate. It has these endpoints:
//
//	GET /sse    the letters: "a" at once, then a letter a-z for each Config.LetterInterval; where that is negative, by Tick alone
//	POST /post  broadcasts its JSON body, and answers 303 "broadcasted"
//	GET /post   streams what is posted, and what the test publishes
//
// An event of theirs has a type, data, a UUID as its ID, and a reconnection time:
//
//	event: message
//	data: {"msg":"a"}
//	id: 85954420-66e1-4933-ab28-18d3d6a86355
//	retry: 6000
//
// [Server.Topic] makes further topics as /post is one, [Server.Handle] serves handlers of your own, and [Server.Script] and [Server.Feed]
// streams that are made for a test.
// Config.Wrap goes around all of them.
//
// A page of another origin reads nothing of them in a browser, unless Config.AllowedOrigins has it.
//
// A wrong method is answered with 405 and Allow. What POST /post cannot take is answered with 400 (the body is not JSON; the answer
// says at which byte, counted from 0), 413 (it is larger than Config.MaxBodyBytes) or 415 (the content type is neither
// application/json nor text/*; of the latter the query's parameters are broadcast, as an object of strings).
// Nothing is broadcast then, and no stream is disturbed.
//
// Parallel subtests may share a server; each then wants a topic of its own.
//
// # Subscribing before publishing
//
// A stream is registered before its headers are sent. Whoever has the headers is subscribed: when [Server.Open], [Open] or [Dial]
// have returned, or http.Client.Do has, the next Publish reaches the stream. Where the client that connects is not the test's own,
// [Server.AwaitSubscribers] waits until it is there, or has left. Nothing has to sleep.
//
// # Resuming
//
// A client that sends Last-Event-ID gets from a topic what came after the event with that ID, events without an ID included,
// as far as the history goes (Config.History), and then what is new. An ID that the history does not have replays nothing,
// and a client that has not got any event yet has no ID to come back with.
// The letters go on behind the letter with that ID, if it is one of the newest 65,536, and with any other ID begin anew.
//
// # Scripts and feeds
//
// [Server.Script] answers requests with a [Script]: steps that are served in order, to every request the same, or of several scripts each to one
// request. [Server.Feed] gives the streams of a pattern to the test, which accepts them one after the other and sends what it likes:
// [Feed.Accept], [ServerStream.Send]. Both take any pattern of [net/http.ServeMux], methods like POST included, and come before the built-in
// endpoints. [Server.Requests] tells what was asked.
//
// A script can be a file, read by [LoadScript]: what curl -N has written of a real server is served byte for byte, and comment lines that begin
// with ":@" are steps, as [ParseScript] tells. [Record] makes such a file of a live stream, once.
//
// # Faults
//
// Some steps break a stream: [Abort], [ResetStream], [ResetConn], [Stall]; [GoAway], [Split] and [Cut] trouble it. They can stand anywhere, between
// events or, behind a [Raw] or a [Cut], in the middle of one. What was sent before is on the wire before they happen.
// [Server.Down] and [Server.Up] take the whole server away and bring it back, and [Server.Chaos] makes any of its endpoints unreliable,
// with faults that are drawn from a seed and are the same in every run.
//
//	step         HTTP/1.1                                       HTTP/2
//	End          clean end of the body                          END_STREAM
//	Abort        connection closed inside the body              RST_STREAM(INTERNAL_ERROR)
//	ResetStream  as Abort                                       RST_STREAM with the code
//	GoAway       connection closed behind the response          GOAWAY; open streams go on
//	ResetConn    TCP RST                                        TCP RST, for all its streams
//	Stall        not one byte more, until the client leaves     the same for the whole connection
//	Hold         open and idle                                  open and idle, PINGs answered
//
// A client of ours sees the clean end as [io.EOF], and else [ErrStreamAborted], [ErrConnectionReset] or [ErrGoneAway], over every protocol:
// [EventSource.Next], [Stream.ExpectError].
//
// # The client
//
// An [EventSource] parses a stream as a browser does. By default it is one response, so that no test is fooled by a client that hides a broken stream.
// With OpenConfig.Reconnect it comes back as a browser does: after the reconnection time, which is OpenConfig.ReconnectionTime until the server says
// something else, with the last event ID, through redirects, until a response is no event stream, be it 204. Attempts that keep failing are made at longer and longer
// intervals, up to OpenConfig.MaxBackoff, and OpenConfig.MaxAttempts ends them. OpenConfig.ReadTimeout takes a silent stream for a broken one.
//
// [Dial] opens one without a test, for as long as its context lasts. In a test, [Open] gives a [Stream], with assertions.
// OpenConfig.OnOpen, OnComment and OnError are told what happens between the events, in the goroutine that asks for these, and in order.
//
// # Streams and assertions
//
// A [Stream] belongs to a test. Its methods wait for events and end the test where others come, or none:
//
//	Next, Take, ExpectUntil          the events that come
//	ExpectData, ExpectJSON           their data, in order
//	ExpectEvents, ExpectUnordered    the events, in order and in any
//	ExpectComment                    a comment, before any event
//	ExpectSilence                    no event for a time
//	ExpectReconnect                  the stream opened again after a time
//	ExpectEnd, ExpectError           its end
//
// and [NextJSON] decodes one. The failure says what was wanted, what came, which events were taken before, and which streams the server has open.
// Every wait has a limit, Config.Timeout or OpenConfig.Timeout, 30 seconds by default.
//
// Events that a topic, a script or a feed has sent and nobody took fail the test when it ends. This is exact: the server knows what it has sent,
// and the check waits for it to arrive. [Stream.IgnoreRest] turns it off.
//
// [Read] makes a Stream of any reader, such as what a handler has written to a recorder. [Decoder] and [Events] read an event stream from any reader
// without a test, and [Event.AppendText] writes one; comments, such as heartbeats, are seen with [Decoder.OnComment].
//
// A stream is closed by t.Cleanup, which comes after the test's deferred calls. Where the server is not a [Server] but one that waits for
// its streams, as that of net/http/httptest does, close it with t.Cleanup as well, registered before [Open].
//
// # Time
//
// In a testing/synctest bubble, [NewServer] puts the server on a network in memory, with TLS and HTTP/2 as everywhere, so that all of it lives on the bubble's virtual time:
// the letters, [Wait] and Response.Delay, [Chaos], reconnection times and back-off, read timeouts, and the limits of every wait, which are 24 hours there. An hour of silence
// costs nothing and is exact; a wait for what never comes fails at once.
//
//	synctest.Test(t, func(t *testing.T) {
//		srv := ssetest.NewServer(t, nil)
//		stream := srv.Open(t, "/sse", nil)
//		stream.Take(17280) // a day of letters
//	})
//
// [Server.Client] and its Transport reach it there, and so does a transport of your own:
//
//	pool := x509.NewCertPool()
//	pool.AddCert(srv.Certificate())
//	transport := &http.Transport{DialContext: srv.DialContext, TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}
//
// A client that insists on a socket fails at once, with "lookup in-memory!use-Server.Client: no such host".
//
// Server and bubble belong together. A server that was made outside can't be waited for inside, nor the other way round: whatever would wait for it says so, requests of
// [Server.Client] included. (Where one of these meets an HTTP/2 connection from outside on which streams are open, the sentence is that of a panic.) What can't be refused is a request on a connection
// that a transport of your own has opened on the other side: there the runtime ends the process. The t of [NewServer] and [Open] is the bubble's, too.
// Config.Network Loopback is refused in a bubble. When the test ends, whatever was opened there has to be over, or the runtime calls it a deadlock: [NewServer] closes itself, its streams
// and the bodies that were forgotten of responses to [Server.Client]. Of other transports it names the connections that are open on their side.
//
// Outside of a bubble, Config.Network InMemory is for speed, and SSETEST_NETWORK=memory is that for all servers that have Auto.
//
// # Delivery
//
// [Server.ExpectExactlyOnce] compares what has arrived on a stream that reconnects, by all its attempts, with what its endpoint has published since it was first opened:
// nothing lost, nothing twice, nothing out of order, and each attempt with the right Last-Event-ID. It waits for what is on its way.
// [Server.ExpectAtLeastOnce] bears repetitions.
//
// # Transcripts
//
// Server and client keep a [Transcript]: requests, bytes, faults and ends, with their times. When a test has failed, and only then, the timeline is logged, and the
// transcript's text form up to 4 KiB; with "go test -artifacts" all of it is left in t.ArtifactDir. That text is a valid event stream, and a script:
// [Transcript.Scripts] and [LoadScripts] make a server send it again. [Transcript.ExpectGolden] compares it with a file.
//
// # Contracts
//
// [TestClient] tests any client of event streams, which an adapter of a few lines brings, against the standard, and [TestHandler] any endpoint. Their cases are subtests, named by group and
// point, "reconnecting/after an abort", under the protocol; each says which sentence it rests on.
//
//	parsing       every rule of the format, with each line end, whole and in pieces; events that are large, and many
//	http          the request; statuses, content types, redirects, compression
//	ends          of clients that do not come back: the clean end told from any other
//	reconnecting  after every end; the reconnection time; Last-Event-ID; nothing lost, nothing twice
//	life          Close, contexts, slow consumers, read timeouts; no goroutine and no connection left
//
//	response      headers, at once; other methods
//	delivery      each event at once, to one and to a hundred, past a client that does not read, behind other handlers
//	wire          a strict reading of the bytes; data as they were given; heartbeats
//	resuming      behind the last event, nothing lost, nothing twice
//	leaving       the handler returns, and leaves no goroutine
//
// A [Capability] that is listed in Without is not claimed: what needs it is skipped, and says so. A case that is listed in Known fails without failing the test, and one that passes there does.
// [TestClient] first sees that the client reaches the server at all. The clients of most libraries take an [net/http.Client] or a transport, and can live in a testing/synctest bubble: for these the suites are on virtual time, and take seconds.
//
// # Flags
//
//	-ssetest.update           SSETEST_UPDATE=1          writes recordings and golden transcripts anew
//	-ssetest.network=memory   SSETEST_NETWORK=memory    puts servers in memory whose Config.Network is Auto; or loopback
//	-ssetest.serve=host:port  SSETEST_SERVE=host:port   holds the first server that a test starts open when the test is over
//
// With the last, of a test that fails, its server can be poked: it says where it is, at port 0 on one that is free, and stays as the test has left it,
// until Ctrl-C. A server in a bubble can't be reached, and is not held. "go test" has a time limit of its own, which -timeout=0 takes off, and without -v keeps back what
// a package says that it was given by name.
//
// The variable is for "go test ./...", since packages that do not import ssetest refuse a flag that they do not know.
//
// # Determinism
//
// What is random elsewhere comes from Config.Seed here. Letter k and its ID depend on the seed and k alone ([Server.Letter]),
// the ID of a posted event on the seed, the topic and how many were posted to it before. With a negative Config.LetterInterval no letter
// comes by itself, and [Server.Tick] sends them.
//
// # Many streams
//
// Config.MaxConcurrentStreams is 250 on a connection; 10,000 streams of a topic fit on one that is allowed more, at some 13 KiB each over HTTP/2 (26 over HTTP/1.1, where each
// also takes a file descriptor on either side), most of which is net/http's. Up to there, what an event, opening and closing cost grows about as the number of streams does.
// Beyond, memory and the garbage collector set the pace: 50,000 streams hold 640 MB, and get an event in one to two seconds. So does net/http's HTTP/2 server, which before each frame looks through the streams of the
// connection until it finds one that has something to send. Where many streams wait and few have something, it pays to have those on connections of their own.
//
// A topic's history costs memory, for 1,024 events unless Config.History says something else, and 64 MiB at most. To publish costs the same with any history, but for the map of the IDs,
// which doubles the time from one event to 700,000, and who resumes pays for what is sent.
//
// # Close
//
// [Server.Close] ends every stream behind the last event that was published, with Config.Farewell where there is one, waits until that end has left,
// and does not wait for clients. Scripts that wait or hold end there; a connection that stalls is reset. A panic in a handler, a handler that outlives Close, and a response that can't be flushed
// fail the server's test. What is no failure but may explain one, such as a TLS handshake that failed, an unknown Last-Event-ID or
// a stream that fell too far behind, is kept and shown when a test has failed.
package ssetest
