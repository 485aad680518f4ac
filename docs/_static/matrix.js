// The moving matrix: a click on a cell with a voice plays it, and starts the picture anew, so that its bars keep time.
{
  const matrix = document.querySelector(".matrix");
  const [picture, player] = [matrix.querySelector("img"), matrix.querySelector("audio")];
  const buttons = matrix.querySelectorAll("button[data-sound]");
  const mark = (playing) => buttons.forEach((button) => button.classList.toggle("playing", button === playing));

  for (const button of buttons) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      player.src = button.dataset.sound;
      mark(button);
      await player.play().catch(() => {}); // the next click stops it
      picture.src = picture.src;
    });
  }
  for (const end of ["ended", "error"]) player.addEventListener(end, () => mark(null));
}
