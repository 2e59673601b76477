package cli

import (
	"net"
	"strconv"
	"strings"
)

const (
	defaultHost = "127.0.0.1" // nobody else's machine reaches it
	defaultPort = "4043"
)

// listenAddress is the host and port that -addr comes to, which may have either, or both, or none, with the environment's PORT.
func listenAddress(address, envPort string) (string, error) {
	if strings.Contains(address, "/") {
		return "", mistakef("-addr is %q; it has no scheme and no path, and is written as in -addr :4043 or -addr 0.0.0.0:4043", address)
	}
	host, port := splitAddress(address)
	if host == "" {
		host = defaultHost
	}
	switch {
	case port != "":
		if !isPort(port) {
			return "", mistakef("-addr is %q, and %q is no port; it is written as in -addr :4043 or -addr 0.0.0.0:4043", address, port)
		}
	case envPort != "":
		if !isPort(envPort) {
			return "", mistakef("PORT of the environment is %q, which is no port; set it to a number up to 65535, or give -addr", envPort)
		}
		port = envPort
	default:
		port = defaultPort
	}
	return net.JoinHostPort(host, port), nil
}

// splitAddress tells the host from the port, where one of them may be missing.
func splitAddress(address string) (host, port string) {
	if host, port, err := net.SplitHostPort(address); err == nil {
		return host, port
	}
	if strings.Trim(address, "0123456789") == "" {
		return "", address
	}
	return strings.Trim(address, "[]"), ""
}

// isPort reports whether a text is a port's number.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == text
}

// local is where a server that listens at an address is reached from its own machine.
func local(addr string) string {
	host, port, _ := net.SplitHostPort(addr) // which listenAddress has joined
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = defaultHost
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}
