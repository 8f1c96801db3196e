package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// APIKeyAccess is what an API key opens of the REST API. Each one opens what those before it open, too.
//
// +kubebuilder:validation:Enum=Read;Run;All
type APIKeyAccess string

// The values of APIKeyAccess.
const (
	// AccessRead opens what only reads.
	AccessRead APIKeyAccess = "Read"
	// AccessRun opens what starts, changes and cancels jobs, of the spiders that there are.
	AccessRun APIKeyAccess = "Run"
	// AccessAll opens everything: making and changing spiders, too.
	AccessAll APIKeyAccess = "All"
)

// Opens reports whether a key of this access may make a call that needs the other one. What it is not known to open it does not.
func (a APIKeyAccess) Opens(needed APIKeyAccess) bool {
	switch a {
	case AccessAll:
		return true
	case AccessRun:
		return needed == AccessRun || needed == AccessRead
	case AccessRead:
		return needed == AccessRead
	default:
		return false
	}
}

// APIKeySpec says who a caller with this key is, and how the key is recognised. The key itself is nowhere in the cluster.
//
// +kubebuilder:validation:XValidation:rule="self.keyID == oldSelf.keyID",message="is immutable: make a new APIKey instead",fieldPath=".keyID"
// +kubebuilder:validation:XValidation:rule="self.hash == oldSelf.hash",message="is immutable: make a new APIKey instead",fieldPath=".hash"
// +kubebuilder:validation:XValidation:rule="has(self.userID) == has(oldSelf.userID) && (!has(self.userID) || self.userID == oldSelf.userID)",message="userID is immutable: make a new APIKey instead"
type APIKeySpec struct {
	// keyID is the public part of the key, by which it is looked up: 16 lower-case letters and digits.
	//
	// +required
	// +kubebuilder:validation:Pattern=`^[a-z0-9]{16}$`
	KeyID string `json:"keyID"`

	// hash is the SHA-256, in lower-case hex, over this object's namespace, the key ID and the secret part of the key. A
	// copy of this object in another namespace therefore opens nothing.
	//
	// +required
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	Hash string `json:"hash"`

	// userID is the user that callers with this key are. They see and act on this user's jobs only. When it is absent the
	// user is the namespace itself.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID,omitempty"`

	// access is what the key opens: Read, what only reads; Run, also what starts, changes and cancels jobs; All, also what makes and
	// changes spiders, whose settings are code. When it is absent it is All. It may be changed, which takes effect within a second.
	//
	// +optional
	Access APIKeyAccess `json:"access,omitempty"`

	// expiresAt is when the key stops being accepted. When it is absent the key is accepted until this object is deleted.
	//
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// description says, for people, what the key is for.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Description string `json:"description,omitempty"`
}

// APIKey lets programs call the REST API as a user of the APIKey's namespace. Deleting it revokes the key.
//
// Writing APIKeys in a namespace grants what acting as any of that namespace's users grants.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories=scrapethis
// +kubebuilder:selectablefield:JSONPath=`.spec.keyID`
// +kubebuilder:printcolumn:name="Key",type=string,JSONPath=`.spec.keyID`
// +kubebuilder:printcolumn:name="User",type=string,JSONPath=`.spec.userID`
// +kubebuilder:printcolumn:name="Access",type=string,JSONPath=`.spec.access`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.spec.expiresAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Description",type=string,priority=1,JSONPath=`.spec.description`
type APIKey struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who a caller with this key is, and how the key is recognised.
	//
	// +required
	Spec APIKeySpec `json:"spec"`
}

// APIKeyList is a list of APIKeys.
//
// +kubebuilder:object:root=true
type APIKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []APIKey `json:"items"`
}

// Access returns what the key opens: spec.access, else All.
func (k *APIKey) Access() APIKeyAccess {
	if k.Spec.Access == "" {
		return AccessAll
	}
	return k.Spec.Access
}
