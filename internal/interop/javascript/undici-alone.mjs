// The EventSource of the package undici, in a process that has nothing else to do.

import { EventSource } from 'undici'
import { agent, listen, url } from './lines.mjs'

listen(new EventSource(url, { dispatcher: agent }))
