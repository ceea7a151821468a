package shape

// answer is what a condition comes to, in the strong three-valued logic of Kleene: false < unknown < true, and is the lesser, or the greater.
type answer int8

const (
	no      answer = -1
	unknown answer = 0
	yes     answer = 1
)

func (a answer) String() string { return [...]string{"false", "unknown", "true"}[a+1] }

func (a answer) value() value {
	if a == unknown {
		return value{}
	}
	return value{kind: boolean, truth: a == yes}
}

func answerOf(truth bool) answer {
	if truth {
		return yes
	}
	return no
}
