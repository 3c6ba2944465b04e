// Copyright The LeaderWorkerSet Operator Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

// certificateLifetime is how long the certificates of a cluster are valid. No cluster of this package runs that long.
const certificateLifetime = 365 * 24 * time.Hour

// authority is the certificate authority of one cluster. It signs the serving certificate and every client certificate.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
}

// newAuthority makes an authority and writes it to ca.crt and ca.key in the existing directory dir.
func newAuthority(dir string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "cluster-ca"}, key)
	if err != nil {
		return nil, err
	}
	if err := writeKey(filepath.Join(dir, "ca.key"), key); err != nil {
		return nil, err
	}
	if err := cert.WriteCert(filepath.Join(dir, "ca.crt"), encodeCertificate(certificate.Raw)); err != nil {
		return nil, err
	}
	return &authority{certificate: certificate, key: key}, nil
}

// loadAuthority reads what newAuthority wrote.
func loadAuthority(dir string) (*authority, error) {
	key, err := keyutil.PrivateKeyFromFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, err
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("the key of the certificate authority in %s can't sign", dir)
	}
	certificates, err := cert.CertsFromFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	return &authority{certificate: certificates[0], key: signer}, nil
}

// serving returns a certificate and key in PEM for servers on the loopback address and on the given address, unless
// that is empty. The certificate also covers the names and the address of the API server's Service, which pods use.
func (a *authority) serving(address string) (certificate, key []byte, err error) {
	addresses := []net.IP{net.ParseIP(loopback), net.ParseIP(serviceAddress)}
	if address != "" {
		addresses = append(addresses, net.ParseIP(address))
	}
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: "localhost"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		IPAddresses: addresses,
	})
}

// client returns a certificate and key in PEM that authenticate the user as a member of the groups.
func (a *authority) client(user string, groups ...string) (certificate, key []byte, err error) {
	return a.sign(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

// sign completes the template, signs it for a new key, and returns both in PEM.
func (a *authority) sign(template *x509.Certificate) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 64))
	if err != nil {
		return nil, nil, err
	}
	template.SerialNumber = serial
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.NotBefore = a.certificate.NotBefore
	template.NotAfter = time.Now().Add(certificateLifetime)
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, private.Public(), a.key)
	if err != nil {
		return nil, nil, err
	}
	key, err = keyutil.MarshalPrivateKeyToPEM(private)
	return encodeCertificate(raw), key, err
}

// writeKubeconfig writes a kubeconfig to path. Its clients authenticate to the server as the user, a member of the
// groups. The kubeconfig embeds all certificates.
func (a *authority) writeKubeconfig(path, server, user string, groups ...string) error {
	certificate, key, err := a.client(user, groups...)
	if err != nil {
		return fmt.Errorf("sign a client certificate for %s: %w", user, err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters[clusterName] = &clientcmdapi.Cluster{
		Server: server, CertificateAuthorityData: encodeCertificate(a.certificate.Raw),
	}
	config.AuthInfos[user] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[clusterName] = &clientcmdapi.Context{Cluster: clusterName, AuthInfo: user}
	config.CurrentContext = clusterName
	return clientcmd.WriteToFile(*config, path)
}

// writePair writes a certificate and its key to <name>.crt and <name>.key in dir.
func writePair(dir, name string, certificate, key []byte) error {
	if err := cert.WriteCert(filepath.Join(dir, name+".crt"), certificate); err != nil {
		return err
	}
	return keyutil.WriteKey(filepath.Join(dir, name+".key"), key)
}

// writeKey writes a private key to path in PEM.
func writeKey(path string, key *ecdsa.PrivateKey) error {
	data, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	return keyutil.WriteKey(path, data)
}

// encodeCertificate returns a DER certificate in PEM.
func encodeCertificate(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: raw})
}

// writeCredentials writes the credentials of all components to dir. They are the authority, a serving certificate,
// client certificates of the API server, and the key for service account tokens. The serving certificate also covers
// the address, unless that is empty. The client certificates are for etcd, kubelets and aggregated API servers.
func writeCredentials(dir, address string) (*authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ca, err := newAuthority(dir)
	if err != nil {
		return nil, err
	}
	certificate, key, err := ca.serving(address)
	if err != nil {
		return nil, err
	}
	if err := writePair(dir, "serving", certificate, key); err != nil {
		return nil, err
	}
	for name, subject := range map[string]pkix.Name{
		"etcd-client":    {CommonName: apiServer},
		"kubelet-client": {CommonName: apiServer, Organization: []string{"system:masters"}},
		"front-proxy":    {CommonName: "front-proxy"},
	} {
		certificate, key, err := ca.client(subject.CommonName, subject.Organization...)
		if err != nil {
			return nil, err
		}
		if err := writePair(dir, name, certificate, key); err != nil {
			return nil, err
		}
	}
	tokens, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return ca, writeKey(filepath.Join(dir, "service-accounts.key"), tokens)
}
