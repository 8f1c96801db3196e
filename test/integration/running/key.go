package running

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/apiserver/auth"
)

// APIKey creates an API key for a user of a namespace, and returns the key and its object.
func APIKey(t testing.TB, kubernetes client.Client, namespace, userID string) (string, *v1alpha1.APIKey) {
	t.Helper()
	key := auth.NewKey()
	object := &v1alpha1.APIKey{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "key-" + key.ID},
		Spec:       v1alpha1.APIKeySpec{KeyID: key.ID, Hash: key.Hash(namespace), UserID: userID},
	}
	if err := kubernetes.Create(t.Context(), object); err != nil {
		t.Fatalf("create an API key: %v", err)
	}
	return key.Reveal(), object
}
