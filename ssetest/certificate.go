package ssetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"sync"
	"time"
)

// certificate is what the server shows.
func (s *Server) certificate() (tls.Certificate, error) {
	if s.cfg.Certificate != nil {
		return *s.cfg.Certificate, nil
	}
	return ownCertificate()
}

func checkCertificate(c *tls.Certificate) error {
	if len(c.Certificate) == 0 || c.PrivateKey == nil {
		return errors.New("Config.Certificate has no certificate, or no key; tls.LoadX509KeyPair reads both")
	}
	if _, err := x509.ParseCertificate(c.Certificate[0]); err != nil {
		return fmt.Errorf("Config.Certificate: %w", err)
	}
	return nil
}

// ownCertificate is made once in a process, and signed by itself. It is ECDSA on P-256, since signing with
// httptest's RSA key would take nearly half the time that it takes to start a server, connect and close.
var ownCertificate = sync.OnceValues(makeCertificate)

func makeCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key: %w", err)
	}
	// Browsers refuse two certificates of one issuer with the same number.
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"ssetest"}, CommonName: "localhost"},
		// A testing/synctest bubble begins in the year 2000.
		NotBefore:             time.Unix(0, 0),
		NotAfter:              time.Date(2100, time.January, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost", "example.com", "*.example.com", memoryHost},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("reading back the certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, nil
}
