// A certificate transparency log as Fulcio needs one: it signs a promise for each certificate (RFC 6962, section 3.2).
//
// The promise is what cosign demands of a certificate. The tree that keeps it is left out: nothing here reads it, and
// the logs that can be had as Go modules need a database beside them.
package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	stdx509 "crypto/x509"
	"encoding/json"
	"encoding/pem"
	"flag"
	"log"
	"net/http"
	"os"
	"time"

	ct "github.com/google/certificate-transparency-go"
	"github.com/google/certificate-transparency-go/tls"
)

func main() {
	address := flag.String("address", "", "where to listen")
	path := flag.String("key", "", "file with the private key, ECDSA, PKCS #8 in PEM")
	flag.Parse()
	key := privateKey(*path)
	public, err := stdx509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		log.Fatal(err)
	}
	id := sha256.Sum256(public)

	http.HandleFunc("POST /ct/v1/add-pre-chain", func(w http.ResponseWriter, r *http.Request) {
		reply, err := promise(r, key, id)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(reply)
	})
	log.Fatal(http.ListenAndServe(*address, nil))
}

// promise answers add-pre-chain (RFC 6962, section 4.2).
func promise(r *http.Request, key *ecdsa.PrivateKey, id [32]byte) (*ct.AddChainResponse, error) {
	var request ct.AddChainRequest
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		return nil, err
	}
	chain := make([]ct.ASN1Cert, len(request.Chain))
	for i, der := range request.Chain {
		chain[i] = ct.ASN1Cert{Data: der}
	}
	now := uint64(time.Now().UnixMilli())
	leaf, err := ct.MerkleTreeLeafFromRawChain(chain, ct.PrecertLogEntryType, now)
	if err != nil {
		return nil, err
	}
	sct := ct.SignedCertificateTimestamp{SCTVersion: ct.V1, LogID: ct.LogID{KeyID: id}, Timestamp: now}
	data, err := ct.SerializeSCTSignatureInput(sct, ct.LogEntry{Leaf: *leaf})
	if err != nil {
		return nil, err
	}
	signed, err := tls.CreateSignature(*key, tls.SHA256, data)
	if err != nil {
		return nil, err
	}
	signature, err := tls.Marshal(signed)
	if err != nil {
		return nil, err
	}
	return &ct.AddChainResponse{SCTVersion: ct.V1, ID: id[:], Timestamp: now, Signature: signature}, nil
}

func privateKey(path string) *ecdsa.PrivateKey {
	data, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		log.Fatalf("%s is no PEM", path)
	}
	key, err := stdx509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		log.Fatal(err)
	}
	ecdsaKey, ok := key.(*ecdsa.PrivateKey)
	if !ok {
		log.Fatalf("%s is no ECDSA key", path)
	}
	return ecdsaKey
}
