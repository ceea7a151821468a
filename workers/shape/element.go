package shape

import "iter"

func (e *evaluation) element() value { return e.elements[len(e.elements)-1].value }

func (e *evaluation) position() value {
	return value{kind: numeric, number: number{whole: int64(e.elements[len(e.elements)-1].index)}}
}

// asked yields each element with what the question comes to.
func (e *evaluation) asked(of value, question part) iter.Seq2[value, value] {
	return func(yield func(value, value) bool) {
		e.elements = append(e.elements, element{index: -1})
		at := len(e.elements) - 1
		defer func() { e.elements = e.elements[:at] }()
		for v := range e.each(of, question.size) {
			e.elements[at].value = v
			e.elements[at].index++
			if !yield(v, question.of(e)) {
				return
			}
		}
	}
}

func (e *evaluation) all(of value, question part) value {
	result := yes
	for _, v := range e.asked(of, question) {
		if result = min(result, v.answer()); result == no {
			break
		}
	}
	return result.value()
}

func (e *evaluation) any(of value, question part) value {
	result := no
	for _, v := range e.asked(of, question) {
		if result = max(result, v.answer()); result == yes {
			break
		}
	}
	return result.value()
}

// one is unknown where an unknown element would settle it.
func (e *evaluation) one(of value, question part) value {
	found, open := 0, 0
	for _, v := range e.asked(of, question) {
		switch v.answer() {
		case yes:
			found++
		case unknown:
			open++
		}
	}
	switch {
	case found > 1:
		return no.value()
	case open > 0:
		return unknown.value()
	}
	return answerOf(found == 1).value()
}

func (e *evaluation) filter(of value, question part) value {
	var kept []value
	for element, v := range e.asked(of, question) {
		if v.answer() == yes && e.pay(keepCost) {
			kept = append(kept, element)
		}
	}
	return value{kind: list, made: true, values: kept}
}

func (e *evaluation) count(of value, question part) value {
	n := int64(0)
	for _, v := range e.asked(of, question) {
		if v.answer() == yes {
			n++
		}
	}
	return value{kind: numeric, number: number{whole: n}}
}

func (e *evaluation) find(of value, question part) value {
	for element, v := range e.asked(of, question) {
		if v.answer() == yes {
			return element
		}
	}
	return value{}
}

func (e *evaluation) mapped(of value, question part) value {
	var made []value
	for _, v := range e.asked(of, question) {
		if v.isThere() && e.pay(keepCost) {
			made = append(made, v)
		}
	}
	return value{kind: list, made: true, values: made}
}

func (e *evaluation) sum(of value, question part) value {
	total := value{kind: numeric}
	for _, v := range e.asked(of, question) {
		if v.kind == numeric {
			total = e.calculate("+", total, v)
		}
	}
	return total
}
