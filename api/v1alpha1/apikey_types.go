package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// APIKeyAccess is which calls of the REST API a key permits. Each level includes those before it.
//
// +kubebuilder:validation:Enum=Read;Run;All
type APIKeyAccess string

// The values of APIKeyAccess.
const (
	// AccessRead permits calls that only read.
	AccessRead APIKeyAccess = "Read"
	// AccessRun also permits calls that start, change and cancel jobs of existing spiders.
	AccessRun APIKeyAccess = "Run"
	// AccessAll permits all calls, including those that make and change spiders.
	AccessAll APIKeyAccess = "All"
)

// Opens reports whether a key with this access may make a call that needs the given one. An unknown access opens nothing.
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

// APIKeySpec says who a caller with this key is, and how the key is recognised. The key itself is not stored anywhere in the
// cluster.
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

	// hash is the SHA-256, in lower-case hex, of this object's namespace, the key ID and the secret part of the key. A copy of
	// this object in another namespace therefore permits nothing.
	//
	// +required
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	Hash string `json:"hash"`

	// userID is the user that callers with this key act as. They see and act on this user's jobs only. If absent, they act as
	// the namespace itself.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:Pattern=`^[!-~]+$`
	UserID string `json:"userID,omitempty"`

	// access is which calls the key permits: Read, calls that only read; Run, also those that start, change and cancel jobs;
	// All, also those that make and change spiders, whose settings are code. Defaults to All. It may be changed; a change takes
	// effect within a second.
	//
	// +optional
	Access APIKeyAccess `json:"access,omitempty"`

	// expiresAt is when the key stops being accepted. If absent, the key is accepted until this object is deleted.
	//
	// +optional
	ExpiresAt *metav1.Time `json:"expiresAt,omitempty"`

	// description says what the key is for. It is informational.
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

// Access returns which calls the key permits: spec.access, or All if it is empty.
func (k *APIKey) Access() APIKeyAccess {
	if k.Spec.Access == "" {
		return AccessAll
	}
	return k.Spec.Access
}
