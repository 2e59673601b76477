// What the programs of this folder have in common: their arguments, and how they say what happens, one line on standard output each time.
//
//     node PROGRAM.mjs URL PROTOCOL COUNT
//
// PROTOCOL is HTTP/1.1 or HTTP/2. A program leaves after COUNT events; with 0, when the server has told it not to come back.
// Whose certificates it trusts, NODE_EXTRA_CA_CERTS says.

import diagnostics from 'node:diagnostics_channel'
import { Agent, fetch as undiciFetch } from 'undici'

export const url = process.argv[2]
const protocol = process.argv[3]
const count = Number(process.argv[4])

export const agent = new Agent({ allowH2: protocol === 'HTTP/2' })

// fetch is Node's own, which has no HTTP/2, or undici's, which can be told to speak it.
export const fetch = protocol === 'HTTP/2' ? (input, init) => undiciFetch(input, { ...init, dispatcher: agent }) : globalThis.fetch

// The protocol that a connection really has, since a client falls back without a word.
let spoken
diagnostics.subscribe('undici:client:connected', ({ socket }) => {
  spoken = socket.alpnProtocol === 'h2' ? 'HTTP/2' : 'HTTP/1.1'
})

// say tells what has become of the stream: opened; broken, the client will be back; closed for good.
export const say = {
  open: () => console.log(`open ${spoken}`),
  broken: () => console.log('broken'),
  closed: () => console.log('closed'),
}

let told = 0

// tell tells of an event. It returns whether that was the last one that is wanted.
export function tell(type, data, id) {
  console.log(JSON.stringify({ type, data, id }))
  return ++told === count
}

// listen tells all that an EventSource dispatches, closes it after the last event, and then calls over.
export function listen(source, over = () => {}) {
  source.addEventListener('open', say.open)
  source.addEventListener('error', () => {
    if (source.readyState !== source.CLOSED) {
      say.broken()
      return
    }
    say.closed()
    over()
  })
  for (const type of ['message', 'tick']) {
    source.addEventListener(type, (event) => {
      if (tell(event.type, event.data, event.lastEventId)) {
        source.close()
        over()
      }
    })
  }
}
