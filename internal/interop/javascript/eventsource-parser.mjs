// The parser of the package eventsource-parser. It has no connection of its own: around it is as little as can come back.

import { setTimeout as sleep } from 'node:timers/promises'
import { EventSourceParserStream } from 'eventsource-parser/stream'
import { fetch, say, tell, url } from './lines.mjs'

let lastEventID = ''
let reconnectionTime = 3000

// ask sends a request, with the last event ID where there is one.
function ask() {
  const headers = { Accept: 'text/event-stream' }
  if (lastEventID !== '') {
    headers['Last-Event-ID'] = lastEventID
  }
  return fetch(url, { headers })
}

// read tells the events of a response. It returns whether more of them are wanted.
async function read(response) {
  const parser = new EventSourceParserStream({
    onRetry: (milliseconds) => {
      reconnectionTime = milliseconds
    },
  })
  const events = response.body.pipeThrough(new TextDecoderStream()).pipeThrough(parser)
  for await (const { event = 'message', data, id = lastEventID } of events) {
    lastEventID = id
    if (tell(event, data, id)) {
      return false
    }
  }
  return true
}

for (;;) {
  const response = await ask()
  if (response.status !== 200) {
    say.closed()
    break
  }
  say.open()
  const more = await read(response).catch(() => true) // a stream that breaks is an error
  if (!more) {
    break
  }
  say.broken()
  await sleep(reconnectionTime)
}
