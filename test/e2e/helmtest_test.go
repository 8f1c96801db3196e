package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/e2e/harness"
)

// checked is what `helm test` prints about a spider that it has run.
var checked = regexp.MustCompile(
	`(?s)Phase: +Succeeded.*/readyz: ok.*Job (\S+) of spider counter was started\..*It finished, with 100 items`)

// TestHelmTestFailsIfTheReleaseDoesNotWork installs a release in a tenant's own namespace, with rights there only: a REST API,
// served with TLS. Its jobs are run by the demo's controller, so it has none itself.
func TestHelmTestFailsIfTheReleaseDoesNotWork(t *testing.T) {
	t.Parallel()
	n := cluster.Namespace(t)
	n.Counter("counter")
	n.Python("complaining", complains)
	n.Create(selfSigned(t))
	helm := func(arguments ...string) string {
		output, err := n.Helm(arguments...)
		if err != nil {
			t.Fatal(err)
		}
		return output
	}
	helm("install", "own", chart, "--wait", "--set", imageValues(cluster.OperatorImage(t)), "--set", "watchNamespaces={"+n.Name+"}",
		"--set", "crds.enabled=false,rbac.userRoles=false,controller.replicas=0",
		"--set", "apiserver.tls.secretName=tls,apiserver.service.port=443")

	if said := helm("test", "own", "--logs"); !strings.Contains(said, "nothing else was tried") {
		t.Errorf("without a key helm test says\n%s", said)
	}
	key := secretKey(t, n, n.API("checker").Key)
	helm("upgrade", "own", chart, "--reset-then-reuse-values", "--set", "tests.apiKeySecret="+key+",tests.spider=counter")
	said := helm("test", "own", "--logs")
	job := checked.FindStringSubmatch(said)
	if job == nil {
		t.Fatalf("helm test says\n%s", said)
	}
	n.AwaitPhase(job[1], v1alpha1.PhaseFinished, atOnce)

	helm("upgrade", "own", chart, "--reset-then-reuse-values", "--set", "tests.spider=complaining")
	if _, err := n.Helm("test", "own"); err == nil {
		t.Error("helm test succeeds with a spider that failed")
	}
	log, err := n.Clientset.CoreV1().Pods(n.Name).GetLogs("own-spider-operator-check", &corev1.PodLogOptions{}).DoRaw(t.Context())
	const failed = "ended as error (SpiderFailed): the spider says that it failed: the shop has no door"
	if err != nil || !strings.Contains(string(log), failed) {
		t.Errorf("of a spider that failed helm test says\n%s (%v)", log, err)
	}
	helm("uninstall", "own", "--wait")
	n.AwaitGone(&corev1.Service{}, "own-spider-operator-apiserver", soon)
}

// secretKey makes a Secret of an API key, as `helm test` wants it, until the test ends, and returns its name.
func secretKey(t *testing.T, n *harness.Namespace, key string) string {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "check-key"}, StringData: map[string]string{"key": key}}
	n.Create(secret)
	t.Cleanup(func() {
		if err := n.Client.Delete(context.Background(), secret); err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("delete the Secret of the key: %v", err)
		}
	})
	return secret.Name
}

// selfSigned is a Secret with a self-signed certificate.
func selfSigned(t *testing.T) *corev1.Secret {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "own"}, DNSNames: []string{"spiders.example.com"},
		NotAfter: time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatalf("encode a key: %v", err)
	}
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "tls"}, Type: corev1.SecretTypeTLS, Data: map[string][]byte{
		corev1.TLSPrivateKeyKey: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: encoded}),
		corev1.TLSCertKey:       pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}),
	}}
}
