// The EventSource of the package eventsource.

import { EventSource } from 'eventsource'
import { fetch, listen, url } from './lines.mjs'

listen(new EventSource(url, { fetch }))
