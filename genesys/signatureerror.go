package genesys

// SignatureError is why a delivery was refused. Its values are a closed set of single words, fit
// for a metric's label.
type SignatureError string

// The reasons why a delivery is refused; test with errors.Is.
const (
	// ErrSignatureMissing: there is no signature, key or token, or no time where one is signed.
	ErrSignatureMissing SignatureError = "missing"
	// ErrSignatureSeveral: there is more than one header line. None is looked at, for a proxy
	// in between and we could disagree on which one counts.
	ErrSignatureSeveral SignatureError = "several"
	// ErrSignatureMalformed: the value is not written as the method has it.
	ErrSignatureMalformed SignatureError = "malformed"
	// ErrSignatureMismatch: no live key made this signature over this delivery.
	ErrSignatureMismatch SignatureError = "mismatch"
	// ErrSignatureExpired: the signed time is further from now than the tolerance.
	ErrSignatureExpired SignatureError = "expired"
	// ErrSignatureClaims: the token is a good one, but is not for us, or does not say until when.
	ErrSignatureClaims SignatureError = "claims"
	// ErrSignatureUncovered: the signature leaves out what it must cover, such as the body.
	ErrSignatureUncovered SignatureError = "uncovered"
)

// Error says that the delivery was refused and why.
func (e SignatureError) Error() string { return "signature refused: " + string(e) }

// SignatureErrors are all of them.
func SignatureErrors() []SignatureError {
	return []SignatureError{
		ErrSignatureMissing, ErrSignatureSeveral, ErrSignatureMalformed, ErrSignatureMismatch, ErrSignatureExpired, ErrSignatureClaims, ErrSignatureUncovered,
	}
}
