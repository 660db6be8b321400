trigger PenstockUser on User(after insert, after update) {
	PenstockCapture.run();
}
