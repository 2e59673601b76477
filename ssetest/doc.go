// Package ssetest tests code that reads or serves event streams (Server-Sent Events).
package ssetest
