// Small programs for what a bare machine lacks: keys and certificates without openssl,
// YAML without a Python YAML library.
package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const certificateLifetime = 10 * 365 * 24 * time.Hour

// writeCertificate makes DIR/{ca.crt,tls.crt,tls.key}: a certificate authority whose own key is
// thrown away, and one certificate of it for the given hosts. It is valid for servers and for
// clients, because the API server shows the same one to the kubelet.
func writeCertificate(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: certificate DIR HOST...")
	}
	directory, hosts := args[0], args[1:]
	now := time.Now()
	authorityKey, err := newKey()
	if err != nil {
		return err
	}
	authority := &x509.Certificate{
		SerialNumber:          big.NewInt(now.UnixNano()),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("aim-operator test CA %d", now.UnixNano())},
		NotBefore:             now.Add(-time.Hour),
		NotAfter:              now.Add(certificateLifetime),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	authorityDER, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	// Parsed again for its subject key id: the leaf's authority key id comes from it, and strict
	// verifiers (Python 3.13) refuse a leaf without one.
	if authority, err = x509.ParseCertificate(authorityDER); err != nil {
		return err
	}
	leafKey, err := newKey()
	if err != nil {
		return err
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano() + 1),
		Subject:      pkix.Name{CommonName: hosts[0], Organization: []string{"aim-operator"}},
		NotBefore:    authority.NotBefore,
		NotAfter:     authority.NotAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			leaf.IPAddresses = append(leaf.IPAddresses, ip)
		} else {
			leaf.DNSNames = append(leaf.DNSNames, host)
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, authority, &leafKey.PublicKey, authorityKey)
	if err != nil {
		return err
	}
	return errors.Join(
		writePEM(filepath.Join(directory, "ca.crt"), "CERTIFICATE", authorityDER, 0o644),
		writePEM(filepath.Join(directory, "tls.crt"), "CERTIFICATE", leafDER, 0o644),
		writeKey(filepath.Join(directory, "tls.key"), leafKey),
	)
}

// writeSigningKey makes the key that signs service-account tokens.
func writeSigningKey(args []string) error {
	if len(args) != 1 {
		return errors.New("usage: signing-key FILE")
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	return writeKey(args[0], key)
}

// convertYAML turns a stream of YAML documents into one JSON array, without empty documents.
func convertYAML(in io.Reader, out io.Writer) error {
	documents := []json.RawMessage{}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(in))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return json.NewEncoder(out).Encode(documents)
		}
		if err != nil {
			return err
		}
		converted, err := yaml.YAMLToJSON(document)
		if err != nil {
			return err
		}
		if string(converted) != "null" {
			documents = append(documents, converted)
		}
	}
}

func newKey() (*ecdsa.PrivateKey, error) {
	return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode os.FileMode) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}
