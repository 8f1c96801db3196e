package auth

import (
	"regexp"
	"strings"
)

// secretKey finds what has the look of an API key, mistyped ones included, and secretToken what has the look of a signed JSON
// Web Token.
var (
	secretKey   = regexp.MustCompile(`(st_[A-Za-z0-9]{4,32})_[A-Za-z0-9_]{16,}`)
	secretToken = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+){2,}`)
)

// Redact returns a text without the secrets of the credentials in it, for the log: callers put them where they do not belong.
func Redact(text string) string {
	if strings.Contains(text, "eyJ") {
		text = secretToken.ReplaceAllString(text, "eyJ…")
	}
	if strings.Contains(text, keyPrefix) {
		text = secretKey.ReplaceAllString(text, "${1}_…")
	}
	return text
}
