// The EventSource of the package undici, in a process that has something else to do: see undici-alone.mjs.

import { EventSource } from 'undici'
import { agent, listen, url } from './lines.mjs'

const other = setInterval(() => {}, 60_000)
listen(new EventSource(url, { dispatcher: agent }), () => clearInterval(other))
